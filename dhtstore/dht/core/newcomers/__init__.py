"""Who has yet to show that it is worth asking, and who showed that it is not."""
