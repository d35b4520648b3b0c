"""Virtual time: an event loop whose clock jumps, and what it refuses."""
