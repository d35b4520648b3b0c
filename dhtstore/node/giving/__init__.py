"""How much of the disk this node gives, changed while it runs."""
