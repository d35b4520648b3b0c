"""What a node costs its line and its neighbours."""
