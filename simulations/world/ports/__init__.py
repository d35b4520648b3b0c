"""The rest of a node's ports, simulated: clock, entropy, blocking work, keys, disks."""
