"""A walk over blocks in a list, for tests of the parts of a fetch."""

from __future__ import annotations

from collections.abc import Container, Sequence

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.walk import Leaf, Output, Piece, Want
from dhtstore.errors import NoAddress
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.links.link import Link

UNIT = Unit.of((Cid.of(b"root"),), 0)


async def nowhere() -> Link:
    """Dials somebody whom no way leads to."""
    raise NoAddress("no answer")


def want_of(data: bytes, sequence: int, size_hint_bytes: int | None = None) -> Want:
    hint = len(data) if size_hint_bytes is None else size_hint_bytes
    return Want(Cid.of(data), UNIT, hint, sequence)


class ListWalk:
    """Each block is a leaf of one file; ``claim_bytes`` is what its parent would say it has."""

    def __init__(self, blocks: Sequence[bytes], claim_bytes: int | None = None) -> None:
        self.opening: list[Output] = []
        self._waiting = [want_of(data, at, claim_bytes) for at, data in enumerate(blocks)]
        self._left = len(self._waiting)

    def next(self, limit: int) -> list[Want]:
        wants, self._waiting = self._waiting[:limit], self._waiting[limit:]
        return wants

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        self._left -= 1
        return [Piece((), want.sequence, node.content)]

    def weight(self, node: DagNode) -> int:
        return 1

    def unit_ahead(self, known: Container[bytes]) -> Unit | None:
        return None

    def leaf(self, want: Want) -> Leaf | None:
        return Leaf((), want.sequence, want.size_hint_bytes)

    @property
    def done(self) -> bool:
        return not self._left
