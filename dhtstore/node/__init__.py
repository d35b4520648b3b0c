"""The shell: the Node, its supervisor, and one use case per file."""
