"""Announcing all that is kept here, again and again: how far that is, and what is in line."""
