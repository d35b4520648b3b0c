"""dhtstore: a replicated content-addressed storage node that anyone can run."""

__version__ = "0.1.0"
