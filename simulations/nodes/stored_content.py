"""What lies on a node's disk, read block by block from outside."""

from __future__ import annotations

from dhtstore.content.dag.local import local_units
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.errors import BlockMissing, IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.contract import BlockStore

_WANTS_AT_ONCE = 64


def holds_all(store: BlockStore, root: Cid) -> bool:
    """Whether every block below ``root`` is there and right."""
    try:
        for unit in local_units(store, root):
            walk = UnitWalk(unit)
            while wants := walk.next(_WANTS_AT_ONCE):
                for want in wants:
                    walk.accept(want, store.get(want.cid))
    except (BlockMissing, IntegrityFailure):
        return False
    return True
