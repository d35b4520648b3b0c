"""How far others' word leads: to how many of one line, and one request at a time to a silent one.

Whoever answers a lookup may name anybody's address, under as many keys as it likes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from dhtstore.dht.core.peer import Peer
from dhtstore.params import (
    INTRODUCED_PER_LINE_MAX,
    INTRODUCED_PER_SUBNET_MAX,
    LINE_WAITING_MAX,
    LINES_REMEMBERED,
)

C = TypeVar("C")


class Lines(Generic[C]):
    """Which lines (``Peer.line``) answered lately, and what waits for those that never did.

    To one that did not, one request is out at a time: the others wait until that has ended.  Once
    it has answered, however many nodes are there work at full speed."""

    __slots__ = ("_newer", "_older", "_start", "_waiting", "waiting")

    def __init__(self, start: Callable[[C], None]) -> None:
        """``start`` sends what waited."""
        self._start = start
        self._newer: set[bytes] = set()
        self._older: set[bytes] = set()
        self._waiting: dict[bytes, deque[C]] = {}  # of each line with a request out
        self.waiting = 0

    def proved(self, line: bytes) -> bool:
        """Whether it answered lately."""
        return line in self._newer or line in self._older

    def begin(self, line: bytes, request: C) -> bool | None:
        """Whether ``request`` may be sent now; if not it waits, or None: too many do already."""
        if self.proved(line):
            return True
        queue = self._waiting.get(line)
        if queue is None:
            self._waiting[line] = deque()
            return True
        if len(queue) >= LINE_WAITING_MAX:
            return None
        queue.append(request)
        self.waiting += 1
        return False

    def answered(self, line: bytes) -> None:
        """A node there answered: all that waited is sent."""
        if line not in self._newer:
            if len(self._newer) >= LINES_REMEMBERED // 2:
                self._older, self._newer = self._newer, set()
            self._newer.add(line)
        for request in self._waiting.pop(line, ()):
            self.waiting -= 1
            self._start(request)

    def silent(self, line: bytes) -> None:
        """The request that was out has ended without an answer: the next one is sent."""
        queue = self._waiting.get(line)
        if queue:
            self.waiting -= 1
            self._start(queue.popleft())
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
    """Whom one lookup may be led to: of a line that never answered INTRODUCED_PER_LINE_MAX, of a
    public subnet's such lines INTRODUCED_PER_SUBNET_MAX."""

    __slots__ = ("_lines", "_per_line", "_per_subnet")

    def __init__(self, lines: Lines[C]) -> None:
        self._lines = lines
        self._per_line: dict[bytes, int] = {}
        self._per_subnet: dict[bytes, int] = {}

    def admits(self, peer: Peer) -> bool:
        """Count ``peer``, which somebody named, and say whether it may be asked."""
        if self._lines.proved(peer.line):
            return True
        on_line = self._per_line.get(peer.line, 0)
        in_subnet = self._per_subnet.get(peer.subnet, 0) if peer.site else 0
        if on_line >= INTRODUCED_PER_LINE_MAX or in_subnet >= INTRODUCED_PER_SUBNET_MAX:
            return False
        self._per_line[peer.line] = on_line + 1
        self._per_subnet[peer.subnet] = in_subnet + 1
        return True
