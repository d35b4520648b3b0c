"""Nouns: immutable values with no behaviour beyond themselves."""
