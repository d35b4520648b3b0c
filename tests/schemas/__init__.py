"""JSON Schemas of what commands print: made from the types, and held to real output."""
