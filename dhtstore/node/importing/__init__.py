"""From files of the user to blocks in the store: the first half of a put."""
