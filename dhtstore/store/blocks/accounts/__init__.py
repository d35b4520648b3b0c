"""What the files beside the packs take, before it is taken."""
