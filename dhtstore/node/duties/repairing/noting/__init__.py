"""What is written down for the next look: what is known of copies, what repairs have sent."""
