"""Why something was not had, in words and as types: one closed list of causes, the timelines of a
get and of a put, and the one sentence that names what decided."""
