"""Files of simulated nodes: each change is seen, and a power cut takes what was not synced."""
