"""What a crash leaves: disk images made of recorded I/O, and processes that are killed."""
