"""Mutated datagrams and frames against a live node: see ``__main__``."""
