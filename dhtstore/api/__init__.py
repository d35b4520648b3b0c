"""What stands in front of a node: building one from its settings, and asking it."""
