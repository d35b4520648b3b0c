"""Nodes of a world: started, stopped, filled with contacts and looked into."""
