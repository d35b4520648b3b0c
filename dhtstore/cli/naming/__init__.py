"""What arguments name: content, pins, nodes, settings; and what a shell completes of them."""
