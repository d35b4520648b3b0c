"""Disks that fail, and what others left on them."""
