"""Pure: the records kept for others, and who gives way where there is no more room."""
