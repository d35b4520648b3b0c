"""What settings need of this machine."""
