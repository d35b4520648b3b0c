"""What a scenario's own code may do to its world, and what it may tell of it."""
