"""What a collection must leave: its marks, and what operations under way rely on."""
