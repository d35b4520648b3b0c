"""What a node did, as its operator wants to read it."""
