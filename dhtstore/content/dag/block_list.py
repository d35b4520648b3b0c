"""Some blocks of one unit as a walk, in any order: nothing is looked for below them."""

from __future__ import annotations

from collections.abc import Container, Sequence

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.walk import Leaf, Output, Want
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.params import BLOCK_SIZE_MAX_BYTES


class BlockList:
    """Implements ``walk.Walk``; yields no output."""

    def __init__(self, unit: Unit, cids: Sequence[Cid]) -> None:
        self.opening: list[Output] = []
        self._wants = [
            Want(cid, unit, BLOCK_SIZE_MAX_BYTES, sequence) for sequence, cid in enumerate(cids)
        ]
        self._taken = self._accepted = 0

    def next(self, limit: int) -> list[Want]:
        wants = self._wants[self._taken : self._taken + limit]
        self._taken += len(wants)
        return wants

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        self._accepted += 1
        return []

    def weight(self, node: DagNode) -> int:
        return 1

    def leaf(self, want: Want) -> Leaf | None:
        return None

    def unit_ahead(self, known: Container[bytes]) -> Unit | None:
        return None

    @property
    def done(self) -> bool:
        return self._accepted == len(self._wants)
