"""How much this node moves, and what goes first."""
