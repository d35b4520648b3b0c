"""Live blocks of packs that are mostly dead move elsewhere, so that room comes back."""
