"""Output that arrives in any order, given out in order: the pieces of a file, or a whole tree."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Protocol

from dhtstore.content.dag.walk import Order, Output, Piece, placed_of


class Ordering(Protocol):
    def pass_on(self, outputs: Iterable[Output], count_max: int) -> list[Output]:
        """Take some output and return what may go out now, no more than ``count_max`` at a time:
        the rest goes out when it is called again."""


class InOrder:
    """Holds pieces back until all bytes before them have been given out, from ``start`` on."""

    def __init__(self, start: int = 0) -> None:
        self._next = start
        self._held: list[tuple[int, int, Piece]] = []
        self._count = 0

    def pass_on(self, outputs: Iterable[Output], count_max: int) -> list[Output]:
        """Take some output and return what may go out now; only pieces are held back.  Of those no
        more than ``count_max`` at a time: the rest goes out when it is called again."""
        out: list[Output] = []
        for output in outputs:
            if isinstance(output, Piece):
                self._count += 1
                heappush(self._held, (output.offset, self._count, output))
            else:
                out.append(output)
        while self._held and self._held[0][0] <= self._next and len(out) < count_max:
            piece = heappop(self._held)[2]
            self._next = piece.offset + len(piece.data)
            out.append(piece)
        return out


class InDagOrder:
    """Holds output that is ``placed`` back until all that stands before it has been given out."""

    def __init__(self) -> None:
        self._settled_before: Order | None = ()
        self._held: list[tuple[Order, int, Output]] = []
        self._count = 0

    def pass_on(self, outputs: Iterable[Output], count_max: int) -> list[Output]:
        """See ``Ordering``."""
        for output in outputs:
            self._take(output)
        out: list[Output] = []
        while self._held and len(out) < count_max and self._is_due():
            out.append(heappop(self._held)[2])
        return out

    def _take(self, output: Output) -> None:
        order, settled = placed_of(output)
        self._count += 1
        heappush(self._held, (order, self._count, output))
        if settled is None or (self._settled_before is not None and settled > self._settled_before):
            self._settled_before = settled

    def _is_due(self) -> bool:
        return self._settled_before is None or self._held[0][0] < self._settled_before
