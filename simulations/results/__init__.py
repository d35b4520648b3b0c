"""What a run leaves behind: written, read, compared."""
