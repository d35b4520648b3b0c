"""How much one fetch has under way: the wants that are open, and the bytes of blocks in memory.

Wants are opened by what their parents claim.  Claims may lie, so what is read counts as what it
is: ``FetchRoom`` is asked before a body is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from functools import partial

from dhtstore.content.dag.walk import Walk, Want
from dhtstore.model.unit import Unit
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    FETCH_AHEAD_BYTES,
    FETCH_AHEAD_FAR_BYTES,
    FETCH_MEMORY_BYTES,
    FETCH_WANTS_MAX,
    WANTS_PER_REQUEST_MAX,
)


class FetchRoom:
    """``held_bytes`` are of the blocks that are read, or are here and not done with.  They stay
    below ``memory_bytes`` and one block, for those whose parents claim less than they are."""

    def __init__(
        self, memory_bytes: int = FETCH_MEMORY_BYTES, wake: Callable[[], None] = lambda: None
    ) -> None:
        self.memory_bytes, self.held_bytes, self._wake = memory_bytes, 0, wake

    @property
    def free_bytes(self) -> int:
        return self.memory_bytes + BLOCK_SIZE_MAX_BYTES - self.held_bytes

    def askable_bytes(self, flight_bytes: float | None) -> int:
        """What may be asked for; with what is in flight while holders are busy, no more than
        FETCH_AHEAD_BYTES, or than that and FETCH_AHEAD_FAR_BYTES."""
        if flight_bytes is None:
            return self.free_bytes
        ahead_bytes = max(FETCH_AHEAD_BYTES, FETCH_AHEAD_FAR_BYTES + int(flight_bytes))
        return min(self.free_bytes, ahead_bytes - self.held_bytes)

    @property
    def full(self) -> bool:
        return self.held_bytes >= self.memory_bytes

    def take(self, size_bytes: int, *, alone: bool = False) -> Callable[[], None] | None:
        """FetchRoom for so many bytes: what to call when they are gone, or None if there is too
        little.  ``alone`` when nothing is under way that could make more."""
        if size_bytes > self.free_bytes and not alone:
            return None
        return self.hold(size_bytes)

    def hold(self, size_bytes: int) -> Callable[[], None]:
        """So much is here, room or not: what to call when it is gone."""
        self.held_bytes += size_bytes
        return partial(self._give_back, size_bytes)

    def _give_back(self, size_bytes: int) -> None:
        self.held_bytes -= size_bytes
        self._wake()


class Window:
    """``open`` are the wants taken from the walk and not fulfilled yet, by sequence number;
    ``done_bytes`` counts the bytes of blocks that fulfilled one."""

    def __init__(self, walk: Walk, memory_bytes: int = FETCH_MEMORY_BYTES) -> None:
        self.open: dict[int, Want] = {}
        self.done_bytes = 0
        self._walk, self._memory_bytes = walk, memory_bytes
        self._backlog: deque[Want] = deque()  # from the walk, waiting for room
        self._open_bytes = 0  # as the parents of the wants claim

    def take(self, *, unwritten_bytes: int, writing: bool) -> list[Want]:
        """Open further wants; none when the walk knows none now, or when there is no room beside
        what was verified and is not written yet.  Not while the walk is used in a worker."""
        if not self._has_room(unwritten_bytes, writing) or not self._fill_backlog():
            return []
        wants = self._batch(unwritten_bytes)
        for want in wants:
            self.open[want.sequence] = want
            self._open_bytes += claimed_bytes(want)
        return wants

    def unit_ahead(self, known: Container[bytes]) -> Unit | None:
        """The next unit of which blocks will be wanted.  Not while the walk is used in a worker."""
        waiting = (want.unit for want in self._backlog if want.unit.name not in known)
        return next(waiting, None) or self._walk.unit_ahead(known)

    def fulfil(self, want: Want, block_bytes: int) -> bool:
        """The block of a want is there and verified; False for the second copy of a block."""
        if self.open.pop(want.sequence, None) is None:
            return False
        self._open_bytes -= claimed_bytes(want)
        self.done_bytes += block_bytes
        return True

    def _has_room(self, unwritten_bytes: int, writing: bool) -> bool:
        """FetchRoom for a good part of the window, or nothing under way that could make room."""
        room = self._open_bytes + unwritten_bytes <= self._memory_bytes * 3 // 4
        few = len(self.open) < FETCH_WANTS_MAX
        return (room and few) or not (self.open or writing)

    def _fill_backlog(self) -> bool:
        if not self._backlog:
            self._backlog.extend(self._walk.next(WANTS_PER_REQUEST_MAX))
        return bool(self._backlog)

    def _batch(self, unwritten_bytes: int) -> list[Want]:
        """As many wants as there is room for, but one at least."""
        batch = [self._backlog.popleft()]
        used = self._open_bytes + unwritten_bytes + claimed_bytes(batch[0])
        while self._backlog and used + claimed_bytes(self._backlog[0]) <= self._memory_bytes:
            batch.append(self._backlog.popleft())
            used += claimed_bytes(batch[-1])
        return batch


def claimed_bytes(want: Want) -> int:
    """What a want may bring: its parent's claim, within what a block may be."""
    hint_bytes = want.size_hint_bytes  # asked often, so without the calls of min and max
    if hint_bytes > BLOCK_SIZE_MAX_BYTES:
        return BLOCK_SIZE_MAX_BYTES
    return hint_bytes if hint_bytes > 0 else 1
