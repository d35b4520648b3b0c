"""The laboratory: the production Node by the thousand, in virtual time."""
