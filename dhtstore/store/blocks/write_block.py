"""Write a block whose bytes are at hand, whatever state a stored copy of it is in."""

from __future__ import annotations

from dhtstore.errors import BlockDamaged, BlockMissing
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.contract import Batch, BlockStore

Bytes = bytes | bytearray | memoryview


def write_block(store: BlockStore, batch: Batch, cid: Cid, data: Bytes) -> None:
    """Stage a block verified against ``cid``; a stored copy that rotted is written anew.

    A batch does not look at what is stored already, and what is signed for must be whole.
    Raises NoRoom, and BlockDamaged while another batch relies on the rotten copy.
    """
    if _rotten(store, cid, data):
        store.delete([cid])
        if store.has(cid):
            raise BlockDamaged(f"block {cid} is damaged on disk, and in use: try again")
    batch.put(cid, data)


def _rotten(store: BlockStore, cid: Cid, data: Bytes) -> bool:
    try:
        return store.read(cid) != data
    except BlockMissing:
        return False
    except BlockDamaged:
        return True
