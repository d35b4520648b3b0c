"""What strangers ask a holder to keep, and an uploader to believe."""
