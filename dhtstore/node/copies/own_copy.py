"""The uploader's own copy: on a storage node that puts, it is replica 1, with a receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.units import units
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.unit import Unit
from dhtstore.node.copies.acknowledge import Copy, Totals, acknowledge
from dhtstore.store.blocks.contract import BlockStore

if TYPE_CHECKING:
    from dhtstore.node.node import Node

_WANTS_AT_ONCE = 256


def local_units(store: BlockStore, root: Cid) -> list[Unit]:
    """Cut a DAG whose blocks are in the store; raises BlockMissing, MalformedDag."""
    cutting = units(root)
    try:
        wanted = next(cutting)
        while True:
            wanted = cutting.send(store.get(wanted))
    except StopIteration as finished:
        found: list[Unit] = finished.value
        return found


async def own_copy(node: Node, unit: Unit, policy: Policy) -> Copy:
    """Walk the unit in our store and sign for it.

    The put that asks has hashed every block and written it, or compared it with what was
    stored: leaves are only checked for presence.
    """
    totals = await node.ports.blocking.run(walk_local, node.ports.store, unit)
    return await acknowledge(node, unit, policy, totals)


def walk_local(store: BlockStore, unit: Unit) -> Totals:
    """Walk a unit in the store, leaves by their presence and length; raises BlockMissing,
    BlockDamaged, MalformedDag."""
    walk = UnitWalk(unit)
    while wants := walk.next(_WANTS_AT_ONCE):
        for want in wants:
            leaf = walk.leaf(want)
            if leaf is not None and store.size(want.cid) == leaf.size_bytes:
                walk.skip(want)
            else:
                walk.accept(want, store.get(want.cid))
    return Totals(walk.size_bytes, walk.blocks)
