"""How sound the blocks here are: which were found damaged, and when all were last looked at."""
