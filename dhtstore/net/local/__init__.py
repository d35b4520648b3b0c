"""The local socket and the pipes of a command."""
