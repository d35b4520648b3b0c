"""CAR files: export and import."""
