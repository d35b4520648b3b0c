"""What is to be done about the copies of a unit, by whom and when; with a reason for each."""
