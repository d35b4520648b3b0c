"""What lies on a node's disk, read block by block from outside."""

from __future__ import annotations

from dhtstore.content.dag.local import Leaves, local_blocks
from dhtstore.errors import BlockMissing, IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.contract import BlockStore


def holds_all(store: BlockStore, root: Cid) -> bool:
    """Whether every block below ``root`` is there and right."""
    return bool(blocks_below(store, root))


def blocks_below(store: BlockStore, root: Cid) -> frozenset[bytes]:
    """The multihashes of all blocks below ``root``, itself included; none unless every one is
    there and right."""
    try:
        return frozenset(cid.multihash for cid in local_blocks(store, root, Leaves.READ))
    except (BlockMissing, IntegrityFailure):
        return frozenset()
