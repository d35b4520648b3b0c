"""Bring a whole unit into the store: what a holder does for an offer and what pinning does.

data path: unit -> UnitWalk -> wants -> fetch (local blocks verified, others from holders and
verified) -> batch.  Once the batch is committed, every block of the unit was walked from its
roots, verified and fsynced: the moment a receipt may be signed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.session import FetchSession
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.contract import Batch, BlockStore
from dhtstore.store.blocks.write_block import write_block

COMMIT_GROUP_BYTES = 128 * MIB  # what one fsync and one index transaction cover
COUNTED_MIN_BYTES = 4 * KIB  # of a block; others wait for a transaction, which has 32,768 at most


async def receive_unit(
    session: FetchSession,
    walk: UnitWalk,
    batch: Batch,
    *,
    commit_group_bytes: int | None = COMMIT_GROUP_BYTES,
    progress: Callable[[int], None] = lambda done_bytes: None,
) -> None:
    """Fetch what is missing and verify what is there, until ``walk`` is at its end.  The last
    commit is the caller's.

    With None for ``commit_group_bytes`` nothing is committed here; else what was committed stays
    for the next try, whatever ends this one.  ``progress`` gets the block bytes done so far.
    Raises what ``fetch`` raises, MalformedDag, NoRoom.
    """
    keep = _Keeper(session.disk.store, batch, commit_group_bytes).keep
    await session.fetch(walk, Delivery(keep=keep, progress=progress))


class _Keeper:
    """Stages verified blocks and commits them in groups; called from several threads."""

    def __init__(self, store: BlockStore, batch: Batch, commit_group_bytes: int | None) -> None:
        self._store, self._batch = store, batch
        self._commit_group_bytes = commit_group_bytes
        self._lock = threading.Lock()
        self._uncommitted_bytes = 0

    def keep(self, blocks: Sequence[tuple[Cid, bytes | memoryview]]) -> None:
        for cid, data in blocks:
            write_block(self._store, self._batch, cid, data)
        if self._is_due(sum(max(len(data), COUNTED_MIN_BYTES) for _, data in blocks)):
            self._batch.commit()

    def _is_due(self, more_bytes: int) -> bool:
        if self._commit_group_bytes is None:
            return False
        with self._lock:
            self._uncommitted_bytes += more_bytes
            due = self._uncommitted_bytes >= self._commit_group_bytes
            if due:
                self._uncommitted_bytes = 0
        return due
