"""What lies on a node's disk, read block by block from outside."""

from __future__ import annotations

from dhtstore.content.dag.local import Leaves, local_blocks
from dhtstore.errors import BlockMissing, IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.contract import BlockStore


def blocks_below(store: BlockStore, root: Cid) -> dict[bytes, Cid]:
    """All blocks below ``root``, itself included, by multihash; none unless every one is there and
    right."""
    try:
        return {cid.multihash: cid for cid in local_blocks(store, root, Leaves.READ)}
    except (BlockMissing, IntegrityFailure):
        return {}
