"""What users are served, beside what they were served in reference runs."""
