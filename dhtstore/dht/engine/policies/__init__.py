"""Policies of owners through the network: stored at the nodes closest to their key, found there."""
