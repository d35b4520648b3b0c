"""Commands about this data directory."""
