"""One run of a scenario: its world, what happens in it, what is seen of it."""
