"""Whose bytes are next, where more is wanted than may move.  Pure.

Start-time fair queueing (Goyal, Vin & Cheng 1996) in three levels: origins share first, since keys
are free and addresses are not; then the peers of an origin; then the transfers of a peer.  At each
level everybody has a virtual time that its bytes move on, and the one that is furthest behind is
next.  Those of the background cost BACKGROUND_WEIGHT times as much: they hardly move while others
do, but they move, so that whoever gives them sees no stall.

Who comes new begins where those that wait are in the mean, not where the last of them is: else
ever new keys, each with one wish, would go before whoever has had one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace, nlargest
from itertools import count
from typing import Generic, NamedTuple, TypeVar

from dhtstore.params import BACKGROUND_WEIGHT, FAIR_IDLE_MAX
from dhtstore.transfer.priority import Priority

W = TypeVar("W")
_ticks = count()


class Payer(NamedTuple):
    """On whose account bytes move."""

    origin: Hashable
    peer: Hashable
    transfer: Hashable

    @classmethod
    def alone(cls) -> Payer:
        """Somebody of our own, who has a share as an origin has."""
        return cls(*[object()] * 3)


@dataclass(slots=True, eq=False)
class Turn(Generic[W]):
    """One that is waited for."""

    who: W
    size_bytes: int
    share: _Share[W]


class FairQueue(Generic[W]):
    """Who waits, by origin, peer and transfer: whatever one asks for, each gets as many bytes as
    another beside it.  All operations take steps in the logarithm of who waits, amortised."""

    def __init__(self) -> None:
        self._root: _Share[W] = _Share(None, None, 1)

    def __bool__(self) -> bool:
        return bool(self._root.backlog)

    @property
    def remembered(self) -> int:
        """How many origins, peers and transfers it knows of now."""
        return self._root.known

    def join(self, who: W, payer: Payer, size_bytes: int, priority: Priority) -> Turn[W]:
        """To wait from now on, until ``next`` tells of it or it leaves."""
        share = self._root
        for name, cost in _path(payer, priority):
            share = share.child(name, cost)
        turn = Turn(who, size_bytes, share)
        share.turns[turn] = None
        while share.parent is not None:
            share.grows(share.parent)
            share = share.parent
        share.backlog += 1
        return turn

    def leave(self, turn: Turn[W]) -> None:
        """It waits no more; nothing happens if it does not."""
        if turn in turn.share.turns:
            del turn.share.turns[turn]
            self._shrink(turn.share)

    def next(self) -> tuple[W, int]:
        """Whose turn it is, and how many bytes it wants; raises ValueError if nobody waits."""
        if not self:
            raise ValueError("nobody waits")
        share = self._root
        while share.below:
            share = share.first()
        turn = share.turns.popitem(last=False)[0]
        leaf = share
        while share.parent is not None:
            share.moves(share.parent, turn.size_bytes)
            share = share.parent
        self._shrink(leaf)
        return turn.who, turn.size_bytes

    def pay(self, payer: Payer, more_bytes: int, priority: Priority) -> None:
        """So many bytes more moved than it had a turn for: the turns of others come first."""
        (origin, cost), *names = _path(payer, priority)
        share: _Share[W] | None = self._root.child(origin, cost)
        while share is not None:
            share.due += more_bytes * share.cost
            share = share.below.get(names.pop(0)[0]) if names else None
        self._root.trim()

    @staticmethod
    def _shrink(share: _Share[W]) -> None:
        while share.parent is not None:
            share.shrinks(share.parent)
            share = share.parent
        share.backlog -= 1
        share.settle()


class _Share(Generic[W]):
    """What one has at its level; in it either shares ``below``, or the ``turns`` that wait.
    ``due`` is its time at the level of its ``parent``.  Of those below, ``virtual`` is the time of
    the one that had the last turn, ``mean`` about that of all that wait, and ``weight`` what those
    have together; ``backlog`` is how many turns wait."""

    __slots__ = (
        "_heap", "backlog", "below", "cost", "due", "mean", "name", "parent", "turns", "virtual",
        "waiting", "weight",
    )  # fmt: skip

    def __init__(self, parent: _Share[W] | None, name: Hashable, cost: int) -> None:
        self.parent, self.name, self.cost = parent, name, cost
        self.virtual, self.mean, self.weight = 0.0, 0.0, 0.0
        self.due: float = parent.mean if parent is not None else 0.0
        self.backlog, self.waiting = 0, 0
        self.turns: OrderedDict[Turn[W], None] = OrderedDict()
        self.below: dict[Hashable, _Share[W]] = {}
        # One entry of each below, put right when it is met: until then its time may be an old one.
        self._heap: list[tuple[float, int, _Share[W]]] = []

    @property
    def known(self) -> int:
        return sum(1 + each.known for each in self.below.values())

    def child(self, name: Hashable, cost: int) -> _Share[W]:
        found = self.below.get(name)
        if found is None:
            found = self.below[name] = _Share(self, name, cost)
            heappush(self._heap, (found.due, next(_ticks), found))
        return found

    def first(self) -> _Share[W]:
        """Of those below that wait the one furthest behind.  Who waits not and is met before it is
        forgotten: time goes on to where there is nothing to remember of it."""
        while True:
            entered, _, share = self._heap[0]
            if entered < share.due:
                heapreplace(self._heap, (share.due, next(_ticks), share))
            elif share.backlog:
                return share
            else:
                heappop(self._heap)
                del self.below[share.name]

    def grows(self, parent: _Share[W]) -> None:
        """One more waits in it."""
        self.backlog += 1
        if self.backlog == 1:
            self.due = max(self.due, parent.virtual)
            parent.waiting += 1
            parent.weight += 1 / self.cost

    def moves(self, parent: _Share[W], size_bytes: int) -> None:
        """So many of its bytes move."""
        parent.virtual = max(parent.virtual, self.due)
        parent.mean = max(parent.mean + size_bytes / parent.weight, parent.virtual)
        self.due += size_bytes * self.cost

    def shrinks(self, parent: _Share[W]) -> None:
        """One waits in it no more."""
        self.backlog -= 1
        self.settle()
        if not self.backlog:
            parent.waiting -= 1
            parent.weight -= 1 / self.cost
            if not parent.waiting:  # nobody is there whose mean it could be
                parent.mean = parent.virtual

    def settle(self) -> None:
        """What is below has no more debts once nobody waits there, but those of origins: who comes
        back at once pays for what it had."""
        if self.backlog or self.parent is None:
            self.trim()
        else:
            self.below.clear()
            self._heap.clear()

    def trim(self) -> None:
        """Of those below that do not wait the ones that owe least are forgotten."""
        if len(self._heap) > 2 * (self.waiting + FAIR_IDLE_MAX):
            idle = (name for name, each in self.below.items() if not each.backlog)
            kept = set(nlargest(FAIR_IDLE_MAX, idle, key=lambda name: self.below[name].due))
            self.below = {n: each for n, each in self.below.items() if each.backlog or n in kept}
            self._heap = [(each.due, next(_ticks), each) for each in self.below.values()]
            heapify(self._heap)


def _path(payer: Payer, priority: Priority) -> Iterator[tuple[Hashable, int]]:
    """The names on the way to a transfer, each with what a byte costs there."""
    cost = BACKGROUND_WEIGHT if priority is Priority.BACKGROUND else 1
    yield (payer.origin, priority), cost
    yield payer.peer, 1
    yield payer.transfer, 1
