"""What a node tells about itself and about content."""
