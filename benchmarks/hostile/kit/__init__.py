"""The attacks, over the seams of a node: the same ones run on real sockets and in virtual time."""
