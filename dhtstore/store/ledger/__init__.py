"""What is remembered beside the blocks: claims, pins, puts, receipts, peers."""
