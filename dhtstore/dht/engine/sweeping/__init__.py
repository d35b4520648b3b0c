"""Records of many keys stored in one go: one lookup a region, several records a datagram."""
