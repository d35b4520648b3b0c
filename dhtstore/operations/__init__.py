"""What may be asked of a node by its user, what it answers, and how both travel over the local
socket.  The Python API, the local socket and the command line share these."""
