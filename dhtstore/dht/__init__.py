"""Who: which nodes are close to a key and what records they hold."""
