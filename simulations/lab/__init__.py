"""Experiments: one run, and many of them."""
