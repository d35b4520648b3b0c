"""How many: pure policy that returns plans."""
