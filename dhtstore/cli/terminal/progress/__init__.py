"""How far a command is, on a terminal or in a log."""
