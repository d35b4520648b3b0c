"""Copies move from fuller disks to emptier ones."""
