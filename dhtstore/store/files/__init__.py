"""Files and directories of the user: read for a put, written by a get."""
