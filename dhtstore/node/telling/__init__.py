"""What is written down of a fetch and of a put, so that both can explain themselves."""
