"""Leaving for good: what this node holds is brought to others first."""
