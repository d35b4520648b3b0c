"""Experiments with real processes that take minutes: each is a command."""
