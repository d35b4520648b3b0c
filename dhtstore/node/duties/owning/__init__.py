"""What becomes of the copies of what was put from here."""
