"""Write a block whose bytes are at hand, whatever state a stored copy of it is in."""

from __future__ import annotations

from dhtstore.errors import BlockDamaged, BlockMissing
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.contract import Batch, BlockStore

Bytes = bytes | bytearray | memoryview


def write_block(store: BlockStore, batch: Batch, cid: Cid, data: Bytes) -> bool:
    """Stage a block verified against ``cid``; a stored copy that rotted is replaced by the commit.

    A batch does not look at what is stored already, and what is signed for must be whole.
    False if it was here before, whole or rotten.  Raises NoRoom, and HomeUnusable where nothing can
    be said of the stored copy now.
    """
    if batch.put(cid, data):
        return True
    if _rotten(store, cid, data):
        batch.put(cid, data, anew=True)
    return False


def _rotten(store: BlockStore, cid: Cid, data: Bytes) -> bool:
    """Whether the copy that a batch relies on is not ``data``; also if it cannot be read just now:
    to write it anew costs its bytes, and loses none."""
    try:
        return store.read(cid) != data
    except (BlockDamaged, BlockMissing):
        return True
