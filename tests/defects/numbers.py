"""The defects of kademlia 2.2.3 and rpcudp 5.0.1, by number, with the worst ones first."""

from __future__ import annotations

from typing import Final

DEFECTS: Final[dict[int, str]] = {
    1: "one bad contact in an answer closes the socket for ever",
    2: "two ids of different lengths and the same number break every later lookup",
    3: "60 pings under made-up ids make 10,000 buckets and take seconds of CPU",
    4: "a nested message of 3 KB costs 30 ms and 200 KB of log",
    5: "each malformed datagram costs a task and a logged stack",
    6: "anybody may store any value, as large and as many as it likes",
    7: "an answer is ten times its request, and a newcomer gets all values, to whatever address",
    8: "each datagram of a stranger scans all that is stored",
    9: "ids are only claimed, answers come from anywhere, and a lie evicts a good contact",
    10: "malformed answers raise into the application",
    11: "one value a key, the last writer wins, and readers spread it",
    12: "an old value comes back after a partition",
    13: "values never expire while anybody keeps them",
    14: "new nodes are handed the wrong values: their keys are hashed twice",
    15: "what set() returns does not mean that anything was replicated",
    16: "all holders store all values again each hour",
    17: "a round of a lookup takes as long as its slowest peer",
    18: "dead nodes stay in the results of lookups",
    19: "one lost packet evicts a contact",
    20: "live contacts do not move to the tail, and those that move keep their old address",
    21: "what a table finds are not its closest contacts",
    22: "strangers suppress the refresh of buckets",
    23: "a cancelled call leaks",
    24: "every peer is waited for 5 s, nothing is repeated, and closing ends no call",
    25: "logs are encoded while nothing is logged",
    26: "addresses of one family are stored and told as those of the other",
}
