"""Whether a copy moves to an emptier disk; pure.  Fresh disks are why people join.

Nobody drops a copy for that by a rule of its own.  Only the holder that is farthest from the unit's
key, but for those that never drop theirs, moves it, and only to a node that is nearer than itself:
with the new copy there are as many that last as are wanted, so that its own goes as any surplus
does, once all of them have proved theirs (``plan.may_drop``), and theirs, the new one among them,
never can.

It moves from fuller to emptier by a margin, which is smaller after it: so nothing moves back, and
moving ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dhtstore.model.identity import NodeId, distance
from dhtstore.params import MOVE_MARGIN, MOVE_PRESENCE_MIN
from dhtstore.replication.health.copies import CopyState, Health
from dhtstore.replication.presence import Presence
from dhtstore.replication.repair.plan import suffice


@dataclass(frozen=True, slots=True)
class Fill:
    """How full a disk is: of ``capacity_bytes`` ``room_bytes`` are open to others still."""

    room_bytes: int
    capacity_bytes: int

    @property
    def share(self) -> float:
        """Of it, that is used: 0 to 1; full where nothing is given."""
        if self.capacity_bytes <= 0:
            return 1.0
        return 1 - min(max(0, self.room_bytes), self.capacity_bytes) / self.capacity_bytes

    def with_more(self, size_bytes: int) -> Fill:
        return Fill(self.room_bytes - size_bytes, self.capacity_bytes)

    def __str__(self) -> str:
        """For people."""
        return f"{100 * self.share:.0f} % full"


@dataclass(frozen=True, slots=True)
class Taker:
    """A node that may take a copy, as this one has seen it; ``subnet`` is where it was reached."""

    node: NodeId
    presence: Presence
    subnet: str


def kept_back(health: Health) -> str:
    """Why the copy here moves to nobody; "" if it may.  ``health`` as it was judged last."""
    if health.stays:
        return health.stays
    if health.short_since_unix_s is not None or health.counted != health.target:
        return f"{health.counted} copies of {health.target}"
    live = len(health.at(CopyState.LIVE))
    if live != health.target - 1:
        return "not all others answer"
    return "" if len(health.lasting) == live else "another holder is farther from its key"


def may_take(health: Health, taker: Taker, taken: Iterable[str] = (), own: str = "") -> bool:
    """Whether it is one for a copy of that unit.  ``taken`` are the subnets of the other holders,
    ``own`` that of this node: copies are not brought nearer to each other."""
    if any(each.holder == taker.node for each in health.copies):
        return False
    nearer = distance(taker.node, health.key) < distance(health.here, health.key)
    steady = taker.presence.share >= MOVE_PRESENCE_MIN
    others = list(taken)
    apart = others.count(taker.subnet) <= others.count(own)
    if not (nearer and steady and apart):
        return False
    there = taker.presence.there_s / taker.presence.watched_s
    return suffice([*(each.past.there_share for each in health.lasting), there], health.target)


def evens_out(size_bytes: int, here: Fill, there: Fill) -> bool:
    """Whether so much is better there: it is emptier by the margin, and no fuller than this node
    when it has moved."""
    if size_bytes > there.room_bytes or here.share - there.share < MOVE_MARGIN:
        return False
    return there.with_more(size_bytes).share <= here.with_more(-size_bytes).share
