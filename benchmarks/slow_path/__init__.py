"""A long, lossy and narrow path between two network namespaces of this machine."""
