"""--explain: timelines for people."""
