"""One authenticated connection per peer: who it is, requests out, requests in."""
