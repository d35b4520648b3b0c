"""Searching and storing in the whole region of a key where ids crowd around it."""
