"""The records kept here for others, and whether those who made them can be reached."""
