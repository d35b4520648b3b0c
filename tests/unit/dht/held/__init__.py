"""Records kept for others: who lives of their makers, and what comes back."""
