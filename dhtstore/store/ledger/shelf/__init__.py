"""What this node keeps for the network beside its own: records of others."""
