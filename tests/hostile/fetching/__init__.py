"""What peers send for a fetch: large, dear, late, or other than was said."""
