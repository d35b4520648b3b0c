"""Whoever can send this node a datagram, and what that can cost it."""
