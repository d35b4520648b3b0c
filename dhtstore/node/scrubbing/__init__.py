"""Whether blocks here are still what they were: looking, and having them back."""
