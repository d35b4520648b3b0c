"""What stays on this disk and what goes: marks, collection, the cache, and why a block is here."""
