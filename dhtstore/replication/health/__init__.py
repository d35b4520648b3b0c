"""What is known of each copy of a unit: who answers, who is silent since when, what was proved."""
