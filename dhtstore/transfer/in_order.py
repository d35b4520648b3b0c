"""Pieces of one file that arrive in any order, given out in order."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from dhtstore.content.dag.walk import Output, Piece


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
