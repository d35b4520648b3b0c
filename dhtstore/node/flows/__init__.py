"""What a user asks for, one use case a file."""
