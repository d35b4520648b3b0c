"""Puts as lists show them: rows kept ready, in the order of time."""
