"""Write a block whose bytes are at hand, whatever state a stored copy of it is in."""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.errors import BlockDamaged, BlockMissing
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.contract import Batch, BlockStore
from dhtstore.store.blocks.lent import Bytes


def write_block(store: BlockStore, batch: Batch, cid: Cid, data: Bytes) -> bool:
    """Stage a block verified against ``cid``; a stored copy that rotted is replaced by the commit.

    A batch does not look at what is stored already, and what is signed for must be whole.
    False if it was here before, whole or rotten.  Raises NoRoom, and HomeUnusable where nothing can
    be said of the stored copy now.
    """
    return write_blocks(store, batch, ((cid, data),))[0]


def write_blocks(
    store: BlockStore, batch: Batch, blocks: Sequence[tuple[Cid, Bytes]]
) -> list[bool]:
    """The same of several: what is stored is looked for at once."""
    written = batch.put_all(blocks)
    for (cid, data), new in zip(blocks, written, strict=True):
        if not new and _rotten(store, cid, data):
            batch.put(cid, data, anew=True)
    return written


def _rotten(store: BlockStore, cid: Cid, data: Bytes) -> bool:
    """Whether the copy that a batch relies on is not ``data``; also if it cannot be read just now:
    to write it anew costs its bytes, and loses none."""
    try:
        return store.read(cid) != data
    except (BlockDamaged, BlockMissing):
        return True
