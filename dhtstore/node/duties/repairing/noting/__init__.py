"""What is written down of copies: for the next look, and for whoever asks what happened."""
