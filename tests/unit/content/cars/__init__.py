"""The CAR format and its walk."""
