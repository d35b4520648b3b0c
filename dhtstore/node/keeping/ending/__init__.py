"""When claims that are over end: by no clock alone."""
