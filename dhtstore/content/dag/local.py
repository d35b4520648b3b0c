"""Walks over blocks that are all at hand: no network, no output."""

from __future__ import annotations

from typing import Protocol

from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.units import units
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit

_WANTS_AT_ONCE = 256


class BlocksHere(Protocol):
    """As much of a block store as a walk needs."""

    def get(self, cid: Cid) -> bytes:
        """The block, verified; raises BlockMissing or BlockDamaged."""

    def size(self, cid: Cid) -> int | None:
        """The block's length in bytes, None if it is not here."""


def local_units(blocks: BlocksHere, root: Cid) -> list[Unit]:
    """Cut a DAG whose blocks are here; raises BlockMissing, BlockDamaged, MalformedDag."""
    cutting = units(root)
    try:
        wanted = next(cutting)
        while True:
            wanted = cutting.send(blocks.get(wanted))
    except StopIteration as finished:
        found: list[Unit] = finished.value
        return found


def walk_local(blocks: BlocksHere, unit: Unit) -> UnitWalk:
    """Walk a unit to its end, leaves by their presence and length; raises BlockMissing,
    BlockDamaged, MalformedDag."""
    walk = UnitWalk(unit)
    while wants := walk.next(_WANTS_AT_ONCE):
        for want in wants:
            leaf = walk.leaf(want)
            if leaf is not None and blocks.size(want.cid) == leaf.size_bytes:
                walk.skip(want)
            else:
                walk.accept(want, blocks.get(want.cid))
    return walk
