"""Those who seemed gone, while this node heard next to nothing."""
