"""The simulated world nodes run in: time, network, and the ports of a node on them."""
