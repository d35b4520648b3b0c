"""Planted defects, and which checker of the laboratory catches each."""
