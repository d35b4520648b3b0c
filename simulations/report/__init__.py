"""Runs and sweeps drawn: plots and a page."""
