"""How far others' word leads: to how many of one line, and one request at a time to a silent one.

Whoever answers a lookup may name anybody's address, under as many keys as it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from dhtstore.dht.core.newcomers.silences import Silences
from dhtstore.dht.core.peer import Peer
from dhtstore.model.contact import Address
from dhtstore.params import (
    INTRODUCED_PER_LINE_MAX,
    INTRODUCED_PER_PROVED_LINE_MAX,
    INTRODUCED_PER_SUBNET_MAX,
    LINE_WAITING_MAX,
    LINES_REMEMBERED,
    PLACES_REMEMBERED,
)

C = TypeVar("C")


class Lines(Generic[C]):
    """Which lines (``Peer.line``) answered lately, and what waits for those that never did.

    To one that did not, one request is out at a time: the others wait until that has ended.  Once
    it has answered, however many nodes are there work at full speed."""

    __slots__ = (
        "_newer", "_older", "_older_places", "_places", "_start", "_waiting", "waiting",
    )  # fmt: skip

    def __init__(self, start: Callable[[C], None]) -> None:
        """``start`` sends what waited."""
        self._start = start
        self._newer: set[bytes] = set()
        self._older: set[bytes] = set()
        self._places: dict[Address, bytes] = {}
        self._older_places: dict[Address, bytes] = {}
        self._waiting: dict[bytes, list[C]] = {}  # of each line with a request out
        self.waiting = 0

    def proved(self, line: bytes) -> bool:
        """Whether it answered lately."""
        return line in self._newer or line in self._older

    def begin(self, line: bytes, request: C) -> bool | None:
        """Whether ``request`` may be sent now; if not it waits, or None: too many do already."""
        if line in self._newer or line in self._older:
            return True
        queue = self._waiting.get(line)
        if queue is None:
            self._waiting[line] = []
            return True
        if len(queue) >= LINE_WAITING_MAX:
            return None
        queue.append(request)
        self.waiting += 1
        return False

    def lives_at(self, address: Address) -> bytes | None:
        """The id of the node that answered there last, and was not silent since."""
        return self._places.get(address) or self._older_places.get(address)

    def answered(self, peer: Peer) -> None:
        """A node answered: all that waited for its line is sent."""
        if self._places.get(peer.address) != peer.id:
            if len(self._places) >= PLACES_REMEMBERED // 2:
                self._older_places, self._places = self._places, {}
            self._places[peer.address] = peer.id
        self.proves(peer.line)

    def failed(self, peer: Peer) -> None:
        """A node did not answer: another may live there now."""
        if self.lives_at(peer.address) == peer.id:
            self._places.pop(peer.address, None)
            self._older_places.pop(peer.address, None)

    def proves(self, line: bytes) -> None:
        """Somebody is at the other end of that line."""
        if line in self._newer:
            return  # and nothing waits for it
        if len(self._newer) >= LINES_REMEMBERED // 2:
            self._older, self._newer = self._newer, set()
        self._newer.add(line)
        queue = self._waiting.pop(line, None)
        for request in queue or ():
            self.waiting -= 1
            self._start(request)

    def silent(self, line: bytes) -> None:
        """The request that was out has ended without an answer: the next one is sent."""
        queue = self._waiting.get(line)
        if queue:
            self.waiting -= 1
            self._start(queue.pop(0))
        elif queue is not None:
            del self._waiting[line]

    def forget(self, line: bytes, request: C) -> bool:
        """What waited need not be sent any more; False if it does not wait."""
        queue = self._waiting.get(line)
        if not queue or request not in queue:
            return False
        queue.remove(request)
        self.waiting -= 1
        return True

    def all_waiting(self) -> list[C]:
        """What waits, for whomever; it waits no more."""
        left = [request for queue in self._waiting.values() for request in queue]
        self._waiting.clear()
        self.waiting = 0
        return left


class Introductions(Generic[C]):
    """Whom one lookup may be led to.

    One node lives at an address and port: where one has answered, others that are said to be there
    are passed over.  It is displaced by whoever answers there, not by what anybody says.  Of a line
    whose nodes are not known INTRODUCED_PER_PROVED_LINE_MAX, of one that never answered
    INTRODUCED_PER_LINE_MAX, of a public subnet's such lines INTRODUCED_PER_SUBNET_MAX; and nobody
    who was silent lately."""

    __slots__ = ("_lines", "_now", "_per_line", "_per_subnet", "_silences")

    def __init__(self, lines: Lines[C], silences: Silences, now: float) -> None:
        self._lines, self._silences, self._now = lines, silences, now
        self._per_line: dict[bytes, int] = {}
        self._per_subnet: dict[bytes, int] = {}

    def admits(self, peer: Peer) -> bool:
        """Count ``peer``, which somebody named, and say whether it may be asked."""
        lives_there = self._lines.lives_at(peer.address)
        if lives_there is not None:
            return lives_there == peer.id
        on_line = self._per_line.get(peer.line, 0)
        if self._silences.lasts(peer, self._now) or not self._in_share(peer, on_line):
            return False
        self._per_line[peer.line] = on_line + 1
        return True

    def _in_share(self, peer: Peer, on_line: int) -> bool:
        if self._lines.proved(peer.line):
            return not peer.site or on_line < INTRODUCED_PER_PROVED_LINE_MAX
        in_subnet = self._per_subnet.get(peer.subnet, 0) if peer.site else 0
        if on_line >= INTRODUCED_PER_LINE_MAX or in_subnet >= INTRODUCED_PER_SUBNET_MAX:
            return False
        self._per_subnet[peer.subnet] = in_subnet + 1
        return True
