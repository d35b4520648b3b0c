"""CAR files: DAGs go out of here as one file, and come in."""
