"""One batch of the disk store: the packs it holds, the rows it staged, and both together."""
