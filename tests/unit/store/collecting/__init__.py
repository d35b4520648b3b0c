"""Room that comes back, by a model and by threads."""
