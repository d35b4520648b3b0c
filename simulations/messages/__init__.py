"""Messages, decoded: who asked whom what, what came of it, and why it failed."""
