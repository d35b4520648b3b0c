"""Whether a unit may be held for the root that it is brought for: what a Replicate says, and what
others who bring it under its owner's grant must wait for."""
