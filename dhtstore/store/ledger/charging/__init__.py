"""What claims are charged with."""
