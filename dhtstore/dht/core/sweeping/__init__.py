"""Many keys of one publisher at once: what one lookup tells of a region, and who gets what."""
