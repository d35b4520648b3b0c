"""What it costs to announce many CIDs."""
