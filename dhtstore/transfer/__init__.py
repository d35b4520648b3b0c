"""How bytes move: pure state machines for one stream and for many sources."""
