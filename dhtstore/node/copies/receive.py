"""Bring a whole unit into the store: what a holder does for an offer and what pinning does.

data path: unit -> UnitWalk -> wants -> fetch (local blocks verified, others from holders and
verified) -> batch.  Once the batch is committed, every block of the unit was walked from its
roots, verified and fsynced: the moment a receipt may be signed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.model.block import stored_bytes
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.delivery import BlockBytes, Delivery, Keep
from dhtstore.node.fetching.session import FetchSession
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.contract import Batch, BlockStore
from dhtstore.store.blocks.write_block import write_block

COMMIT_GROUP_BYTES = 128 * MIB  # what one fsync and one index transaction cover
COUNTED_MIN_BYTES = 4 * KIB  # of a block; others wait for a transaction, which has 32,768 at most


class Keeper:
    """Stages what comes from peers, verified, in ``batch``; called from several threads.

    Commits in groups of ``commit_group_bytes``, what stays then for the next try, whatever ends
    this one; with None nothing is committed here.  ``stored_bytes`` and ``blocks`` are how much
    came so far, ``block_bytes`` the same without what storing adds; ``committed_bytes`` are those
    of the latter that stay, and ``settled_bytes`` of the former.
    """

    def __init__(
        self,
        store: BlockStore,
        batch: Batch,
        commit_group_bytes: int | None = COMMIT_GROUP_BYTES,
        also: Keep = lambda blocks: None,
    ) -> None:
        """``also`` gets the blocks, too, before they are written."""
        self._store, self._batch, self._also = store, batch, also
        self._commit_group_bytes = commit_group_bytes
        self._lock = threading.Lock()
        self._uncommitted_bytes = 0
        self.stored_bytes = self.blocks = self.block_bytes = self.committed_bytes = 0
        self.settled_bytes = 0

    def keep(self, blocks: list[tuple[Cid, BlockBytes]]) -> None:
        self._also(blocks)
        for cid, data in blocks:
            write_block(self._store, self._batch, cid, data)
        more_bytes = sum(stored_bytes(cid, len(data)) for cid, data in blocks)
        block_bytes = sum(len(data) for _, data in blocks)
        came_bytes, came_stored_bytes = self._took(more_bytes, len(blocks), block_bytes)
        if came_bytes:
            self._batch.commit()
            self.committed_bytes = max(self.committed_bytes, came_bytes)
            self.settled_bytes = max(self.settled_bytes, came_stored_bytes)

    def find(self, cid: Cid, data: bytes) -> None:
        """It was here, verified, and whatever removes it meanwhile, it is here when the batch is
        committed."""
        self._batch.put(cid, data)

    def commit(self) -> None:
        """All that came stays.  For when nothing comes any more; raises NoRoom."""
        self._batch.commit()
        self.committed_bytes, self.settled_bytes = self.block_bytes, self.stored_bytes

    def _took(self, more_bytes: int, more_blocks: int, block_bytes: int) -> tuple[int, int]:
        """If a group is to be committed, all that came so far, without what storing adds and with
        it; else 0."""
        with self._lock:
            self.block_bytes += block_bytes
            self.stored_bytes += more_bytes
            self.blocks += more_blocks
            self._uncommitted_bytes += max(more_bytes, more_blocks * COUNTED_MIN_BYTES)
            group_bytes = self._commit_group_bytes
            due = group_bytes is not None and self._uncommitted_bytes >= group_bytes
            if due:
                self._uncommitted_bytes = 0
            return (self.block_bytes, self.stored_bytes) if due else (0, 0)


async def receive_unit(
    session: FetchSession,
    walk: UnitWalk,
    keeper: Keeper,
    progress: Callable[[int], None] = lambda done_bytes: None,
) -> None:
    """Fetch what is missing and verify what is there, until ``walk`` is at its end.  The last
    commit is the caller's.

    ``progress`` gets the block bytes done so far.  Raises what ``fetch`` raises, MalformedDag,
    NoRoom.
    """
    await session.fetch(walk, Delivery(keep=keeper.keep, found=keeper.find, progress=progress))
