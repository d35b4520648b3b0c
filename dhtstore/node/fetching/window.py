"""The wants of a walk that are open at a time: as many as there is memory for what they bring."""

from __future__ import annotations

from collections import deque

from dhtstore.content.codec.unixfs import read_node
from dhtstore.content.dag.walk import Output, Walk, Want
from dhtstore.node.fetching.delivery import BlockBytes
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    FETCH_MEMORY_BYTES,
    FETCH_WANTS_MAX,
    WANTS_PER_REQUEST_MAX,
)


class Window:
    """``open`` are the wants taken from the walk and not accepted yet, by sequence number;
    ``done_bytes`` counts the bytes of blocks that were."""

    def __init__(self, walk: Walk) -> None:
        self.open: dict[int, Want] = {}
        self.done_bytes = 0
        self._walk = walk
        self._backlog: deque[Want] = deque()  # from the walk, waiting for room
        self._open_bytes = 0  # as the parents of the wants claim

    @property
    def done(self) -> bool:
        return self._walk.done

    def take(self, *, unwritten_bytes: int, writing: bool) -> list[Want]:
        """Open further wants; none when the walk knows none now, or when there is no room beside
        what was accepted and is not written yet."""
        if not self._has_room(unwritten_bytes, writing) or not self._fill_backlog():
            return []
        wants = self._batch(unwritten_bytes)
        for want in wants:
            self.open[want.sequence] = want
            self._open_bytes += claimed_bytes(want)
        return wants

    def accept(self, want: Want, data: BlockBytes) -> list[Output] | None:
        """Hand a verified block to the walk, and return what it yields; None for the second copy
        of a block."""
        if self.open.pop(want.sequence, None) is None:
            return None
        self._open_bytes -= claimed_bytes(want)
        self.done_bytes += len(data)
        return self._walk.accept(want, read_node(want.cid, data))

    def _has_room(self, unwritten_bytes: int, writing: bool) -> bool:
        """Room for a good part of the window, or nothing under way that could make room."""
        room = self._open_bytes + unwritten_bytes <= FETCH_MEMORY_BYTES * 3 // 4
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
        while self._backlog and used + claimed_bytes(self._backlog[0]) <= FETCH_MEMORY_BYTES:
            batch.append(self._backlog.popleft())
            used += claimed_bytes(batch[-1])
        return batch


def claimed_bytes(want: Want) -> int:
    """What a want may bring: its parent's claim, within what a block may be."""
    return min(max(want.size_hint_bytes, 1), BLOCK_SIZE_MAX_BYTES)
