"""Blocks: the contract, the stores that keep it, and what they stand on."""
