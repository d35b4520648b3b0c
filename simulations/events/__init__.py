"""What happens to a world: churn, faults, and what users do."""
