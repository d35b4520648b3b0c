"""A copy that is one too many goes."""
