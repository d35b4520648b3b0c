"""Every owner's claim goes where copies go."""
