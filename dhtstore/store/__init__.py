"""What we hold: the only room that touches the disk."""
