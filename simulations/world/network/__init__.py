"""Machines, and the datagrams and streams between them."""
