"""How many requests are out, and how long they are waited for."""
