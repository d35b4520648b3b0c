"""The seam: clocks, entropy, sockets, keys and threads as protocols, with the real ones."""
