"""Shape: a byte stream or a tree of files as a DAG of blocks, and back.  Pure."""
