"""Nodes that attack: production nodes behind ports that do something else."""
