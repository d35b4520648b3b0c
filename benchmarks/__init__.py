"""Figures of whole processes with default settings: ``python -m benchmarks`` prints the table."""
