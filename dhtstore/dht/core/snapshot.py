"""A routing table as plain values: to look at it from outside, and to begin with a filled one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dhtstore.dht.core.peer import Peer


class TableEntry(NamedTuple):
    """A peer of the table.

    ``heard_s`` is when it last answered (monotonic seconds), ``rtt_s`` its smoothed round trip
    (0.0: never measured) and ``rttvar_s`` how much that varies (RFC 6298 section 2), ``trusts``
    whether our address is proved to it, so that it needs no padding from us.  ``failures`` are
    requests and ``dead_pings`` pings that it has not answered since.
    """

    peer: Peer
    heard_s: float
    rtt_s: float
    rttvar_s: float
    trusts: bool
    failures: int = 0
    dead_pings: int = 0


@dataclass(frozen=True, slots=True)
class BucketSnapshot:
    """The peers that share exactly ``index`` leading bits with the table's own id, least recently
    heard first; ``looked_up_s`` is when the bucket was last looked into."""

    index: int
    looked_up_s: float
    entries: tuple[TableEntry, ...]


@dataclass(frozen=True, slots=True)
class TableSnapshot:
    """Every bucket that was ever used, by ascending index; ``neighbours_updated_s`` is when the
    node last looked up its own id, ``newcomers`` those peers that are not believed in yet, each
    with when it answered first."""

    neighbours_updated_s: float
    buckets: tuple[BucketSnapshot, ...]
    newcomers: tuple[tuple[Peer, float], ...] = ()

    def sizes(self) -> list[int]:
        """How many entries each bucket has, from index 0 up to the deepest with any."""
        sizes = [0] * (self.buckets[-1].index + 1 if self.buckets else 0)
        for bucket in self.buckets:
            sizes[bucket.index] = len(bucket.entries)
        return sizes
