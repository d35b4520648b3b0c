"""Bring a whole unit into the store: what a holder does for an offer and what pinning does.

data path: unit -> UnitWalk -> wants -> fetch (local blocks verified, others from holders and
verified) -> batch -> commit.  When it returns, every block of the unit was walked from its
roots, verified and fsynced: the moment a receipt may be signed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.session import FetchSession
from dhtstore.params import MIB
from dhtstore.store.blocks.contract import Batch, BlockStore, Reservation
from dhtstore.store.blocks.write_block import write_block

COMMIT_GROUP_BYTES = 128 * MIB  # what one fsync and one index transaction cover


async def receive_unit(
    session: FetchSession,
    unit: Unit,
    *,
    room: Reservation | None = None,
    progress: Callable[[int], None] = lambda done_bytes: None,
) -> UnitWalk:
    """Fetch what is missing and verify what is there; the walk, at its end.

    ``progress`` gets the block bytes done so far.  Raises what ``fetch`` raises, MalformedDag,
    NoRoom; what was committed before stays for the next try.
    """
    disk, walk = session.disk, UnitWalk(unit)
    async with disk.batch(room) as batch:
        keep = _Keeper(disk.store, batch).keep
        await session.fetch(walk, Delivery(keep=keep, progress=progress))
        await disk.blocking.run(batch.commit)
    return walk


class _Keeper:
    """Stages verified blocks and commits them in groups; called from several threads."""

    def __init__(self, store: BlockStore, batch: Batch) -> None:
        self._store, self._batch = store, batch
        self._lock = threading.Lock()
        self._uncommitted_bytes = 0

    def keep(self, blocks: Sequence[tuple[Cid, bytes | memoryview]]) -> None:
        for cid, data in blocks:
            write_block(self._store, self._batch, cid, data)
        with self._lock:
            self._uncommitted_bytes += sum(len(data) for _, data in blocks)
            if self._uncommitted_bytes < COMMIT_GROUP_BYTES:
                return
            self._uncommitted_bytes = 0
        self._batch.commit()
