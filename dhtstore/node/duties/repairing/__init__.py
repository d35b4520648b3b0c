"""Copies are watched, audited, repaired and trimmed: what ``replication`` plans is carried out."""
