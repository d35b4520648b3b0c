"""Blocks from wherever they are: the local store, else holders found by the DHT."""
