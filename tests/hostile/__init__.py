"""What a stranger can make a node do, and that it is bounded: a test for each case found."""
