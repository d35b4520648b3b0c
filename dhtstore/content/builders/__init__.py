"""From bytes and entries to blocks: a file's tree, a directory's node or shards."""
