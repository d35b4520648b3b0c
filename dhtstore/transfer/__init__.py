"""How bytes move: the state machine of one connection, and the scheduler over many holders."""
