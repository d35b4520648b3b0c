"""Commands about what is kept here."""
