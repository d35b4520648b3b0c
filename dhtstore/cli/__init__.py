"""Front door: parse, call, print."""
