"""Reading all blocks again in one go, which goes on where one was cut short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from dhtstore.errors import DhtstoreError
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk, surely
from dhtstore.node.scrubbing.reading import BlocksRead
from dhtstore.operations.operation import KEPT, Progress, Watch
from dhtstore.params import DAMAGED_CARRIED_MAX, VERIFY_GOES_ON_S
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.ledger.health.verifying import Verifying, VerifyRow

_BLOCKS_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class WholeRead:
    """What was ``found`` since ``began_unix_s``; ``before`` blocks of it by runs cut short."""

    found: BlocksRead
    began_unix_s: int
    before: int


async def read_all(disk: Disk, verifying: Verifying, now_unix_s: int, progress: Watch) -> WholeRead:
    """Raises NoRoom, HomeUnusable.  What ends it leaves written down how far it was, if the disk
    takes that; ``verifying`` is to be cleared by whoever has used what was found."""
    row = await disk.blocking.run(verifying.load)
    if not 0 <= now_unix_s - row.began_unix_s <= VERIFY_GOES_ON_S:
        row = VerifyRow(now_unix_s)
    found = await disk.blocking.run(_carried, disk.store, row)
    cids, total, before = disk.store.cids(row.at), disk.store.used_bytes, found.blocks
    try:
        while not found.over:
            await disk.blocking.run(_read_some, disk.store, cids, found)
            row = _row(row.began_unix_s, found)  # a step that is cancelled may still be going on
            progress(Progress("verifying", found.size_bytes, total))
    except BaseException:
        await surely(disk.blocking, partial(_save, verifying, row))
        progress(Progress(KEPT, row.size_bytes, total))
        raise
    return WholeRead(found, row.began_unix_s, before)


def _carried(store: BlockStore, row: VerifyRow) -> BlocksRead:
    """What was damaged is read again: it may be mended since."""
    found = BlocksRead(row.blocks, row.size_bytes)
    damaged = iter([Cid.decode(each) for each in row.damaged])
    while not found.over:
        found.read(store, damaged)
    found.over, found.at = False, row.at
    return found


def _read_some(store: BlockStore, cids: Iterator[Cid], found: BlocksRead) -> None:
    for _ in range(_BLOCKS_AT_ONCE):
        if not found.over:
            found.read(store, cids)


def _row(began_unix_s: int, found: BlocksRead) -> VerifyRow:
    """With more damage than is worth carrying, the next begins anew."""
    if len(found.damaged) > DAMAGED_CARRIED_MAX:
        return VerifyRow(began_unix_s)
    damaged = tuple(cid.raw for cid in found.damaged)
    return VerifyRow(began_unix_s, found.at, found.blocks, found.size_bytes, damaged)


def _save(verifying: Verifying, row: VerifyRow) -> None:
    with suppress(DhtstoreError):
        verifying.save(row)
