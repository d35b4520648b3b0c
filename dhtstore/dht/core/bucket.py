"""One bucket of the routing table: at most k peers, least recently heard first.

kademlia's KBucket holds a Node in two OrderedDicts and knows neither round trips nor failures;
lists and arrays that run parallel take a quarter of the memory, and that is most of what ten
thousand simulated nodes take.
"""

from __future__ import annotations

from array import array

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.snapshot import TableEntry
from dhtstore.params import BUCKET_REPLACEMENTS_MAX


class Bucket:
    """Peers that share one prefix length with us.

    ``ids``, ``heard_s``, ``srtt_s``, ``rttvar_s``, ``failures`` (requests without an answer since
    the last that had one), ``dead_pings`` (likewise, of pings alone) and ``trusts`` (it needs no
    padding from us, having proved our address) run parallel to ``peers``.  ``looked_up_s`` is
    when this bucket was last looked into, ``ipv6`` how many are reached over IPv6.  All times are
    monotonic seconds.
    """

    __slots__ = (
        "dead_pings", "failures", "heard_s", "ids", "ipv6", "looked_up_s", "peers",
        "replacements", "rttvar_s", "srtt_s", "trusts",
    )  # fmt: skip

    def __init__(self, now: float) -> None:
        self.peers: list[Peer] = []
        self.ids: list[bytes] = []
        self.replacements: list[Peer] = []
        self.heard_s = array("d")
        self.srtt_s = array("f")
        self.rttvar_s = array("f")
        self.failures = bytearray()
        self.dead_pings = bytearray()
        self.trusts = bytearray()
        self.looked_up_s, self.ipv6 = now, 0

    def __len__(self) -> int:
        return len(self.peers)

    def index(self, node_id: bytes) -> int:
        """-1 if the node is not here."""
        return self.ids.index(node_id) if node_id in self.ids else -1

    def reached(self, *, ipv6: bool) -> list[Peer]:
        """Those of one family; mostly that is all, and then the list itself."""
        if self.ipv6 == (len(self.peers) if ipv6 else 0):
            return self.peers
        return [peer for peer in self.peers if peer.ipv6 is ipv6]

    def heard(
        self, index: int, peer: Peer, now: float, rtt_s: float | None, trusts: bool, pong: bool
    ) -> None:
        """Move an entry to the tail, with its present address and RTT (RFC 6298 section 2).

        A ``pong`` makes up for no silence to anything else."""
        failures = self.failures[index] if pong else 0
        if rtt_s is not None:
            self.measured(index, rtt_s)
        srtt, var = self.srtt_s[index], self.rttvar_s[index]
        if index < len(self.peers) - 1 or peer is not self.peers[index]:
            self.drop(index)
            self.append(peer, now, srtt, var, trusts)
        else:  # it is the tail, and mostly whoever answered last answers again
            self.heard_s[-1], self.srtt_s[-1], self.rttvar_s[-1] = now, srtt, var
            self.dead_pings[-1], self.trusts[-1] = 0, trusts
        self.failures[-1] = failures

    def measured(self, index: int, rtt_s: float) -> None:
        """An answer took so long (RFC 6298 section 2)."""
        srtt, var = self.srtt_s[index], self.rttvar_s[index]
        self.rttvar_s[index] = 0.75 * var + 0.25 * abs(srtt - rtt_s) if srtt else rtt_s / 2
        self.srtt_s[index] = 0.875 * srtt + 0.125 * rtt_s if srtt else rtt_s

    def append(self, peer: Peer, now: float, srtt_s: float, rttvar_s: float, trusts: bool) -> None:
        """Add an entry at the tail."""
        self.ipv6 += peer.ipv6
        self.peers.append(peer)
        self.ids.append(peer.id)
        self.heard_s.append(now)
        self.srtt_s.append(srtt_s)
        self.rttvar_s.append(rttvar_s)
        self.failures.append(0)
        self.dead_pings.append(0)
        self.trusts.append(trusts)

    def restore(self, entry: TableEntry) -> None:
        """Add an entry as it was."""
        self.append(entry.peer, entry.heard_s, entry.rtt_s, entry.rttvar_s, entry.trusts)
        self.failures[-1], self.dead_pings[-1] = entry.failures, entry.dead_pings

    def drop(self, index: int) -> None:
        """Remove the entry at that place."""
        self.ipv6 -= self.peers[index].ipv6
        del self.peers[index], self.ids[index], self.heard_s[index], self.srtt_s[index]
        del self.rttvar_s[index], self.failures[index], self.dead_pings[index], self.trusts[index]

    def entries(self) -> tuple[TableEntry, ...]:
        """As values, in the same order."""
        columns = (
            self.peers, self.heard_s, self.srtt_s, self.rttvar_s, map(bool, self.trusts),
            self.failures, self.dead_pings,
        )  # fmt: skip
        return tuple(map(TableEntry._make, zip(*columns, strict=True)))

    def keep_as_replacement(self, peer: Peer, *, last: bool = False) -> None:
        """The node seen last is the first to replace, of those whose key solves the puzzle before
        all others; one of a crowd comes ``last`` and is the first to be forgotten."""
        waiting = self.replacements = [p for p in self.replacements if p.id != peer.id]
        at = 0 if last else len(waiting)
        while at and not peer.solved and waiting[at - 1].solved:
            at -= 1
        waiting.insert(at, peer)
        del self.replacements[:-BUCKET_REPLACEMENTS_MAX]
