"""Reading blocks again, to see whether they are still what their names say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dhtstore.errors import BlockDamaged, BlockMissing
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.contract import BlockStore


@dataclass(slots=True)
class BlocksRead:
    """``size_bytes`` are those of the ``blocks`` that are whole; ``at`` is the multihash of the
    last, whole or not, and ``over`` whether none is left."""

    blocks: int = 0
    size_bytes: int = 0
    damaged: list[Cid] = field(default_factory=list)
    at: bytes = b""
    over: bool = False

    def read(self, store: BlockStore, cids: Iterator[Cid]) -> None:
        """One more; for worker threads.  Raises HomeUnusable."""
        cid = next(cids, None)
        if cid is None:
            self.over = True
            return
        self.at = cid.multihash
        try:
            self.size_bytes += len(store.get(cid, afresh=True))
            self.blocks += 1
        except BlockDamaged:
            self.damaged.append(cid)
        except BlockMissing:
            if store.has(cid):  # its pack is gone; else it was dropped since it was listed
                self.damaged.append(cid)


def has_rotted(store: BlockStore, cid: Cid) -> bool:
    """Whether a block that is held is not what its name says; for worker threads."""
    found = BlocksRead()
    found.read(store, iter([cid]))
    return bool(found.damaged)
