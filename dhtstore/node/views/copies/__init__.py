"""How many copies there are of what was put, and how safe that is."""
