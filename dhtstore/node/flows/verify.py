"""verify: read every block of the store again and compare it with its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from dhtstore.errors import BlockDamaged, BlockMissing
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.operations.keeping import VerifyResult
from dhtstore.operations.operation import Progress, Watch
from dhtstore.store.blocks.contract import BlockStore

_BLOCKS_AT_ONCE = 64


@dataclass(slots=True)
class _Count:
    blocks: int = 0
    size_bytes: int = 0
    damaged: list[str] = field(default_factory=list)


async def verify(disk: Disk, progress: Watch) -> VerifyResult:
    """Blocks that are stored or dropped meanwhile may or may not be counted."""
    found = _Count()
    cids = iter(disk.store.cids())
    total = disk.store.used_bytes
    while await disk.blocking.run(_check_some, disk.store, cids, found):
        progress(Progress("verifying", found.size_bytes, total))
    return VerifyResult(found.blocks, found.size_bytes, found.damaged)


def _check_some(store: BlockStore, cids: Iterator[Cid], found: _Count) -> bool:
    some = list(islice(cids, _BLOCKS_AT_ONCE))
    for cid in some:
        try:
            found.size_bytes += len(store.get(cid))
            found.blocks += 1
        except BlockDamaged:
            found.damaged.append(str(cid))
        except BlockMissing:
            continue  # dropped since it was listed
    return bool(some)
