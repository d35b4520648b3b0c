"""CAR files, for programs."""
