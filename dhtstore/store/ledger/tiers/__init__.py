"""What lies here beside what is kept: cached roots, and those that are on their way out."""
