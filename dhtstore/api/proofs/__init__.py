"""What can be verified by anybody, without a node and without a network."""
