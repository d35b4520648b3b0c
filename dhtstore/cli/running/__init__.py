"""The node behind a command."""
