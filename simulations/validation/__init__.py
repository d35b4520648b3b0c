"""The laboratory held against theory and against measurements of live networks."""
