"""Spelling: bytes to messages and back, and every limit on them."""
