"""The data directory: lock, keys, settings, and where everything else lies in it."""
