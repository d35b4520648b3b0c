"""A DAG block by block: what lies below a block, which unit it is in, what a walk wants next."""
