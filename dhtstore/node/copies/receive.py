"""Bring a whole unit into the store: what a holder does for an offer and what pinning does.

data path: unit -> UnitWalk -> wants -> fetch (local blocks verified, others from sources and
verified) -> batch -> commit.  When it returns, every block of the unit was walked from its
roots, verified and fsynced: the moment a receipt may be signed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.walk import Output
from dhtstore.errors import LocalProtocolError
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.copies.acknowledge import Totals
from dhtstore.node.fetching.fetch import Sources, fetch
from dhtstore.node.importing.write_block import write_block
from dhtstore.params import MIB
from dhtstore.store.blocks.contract import Batch, BlockStore, Reservation

if TYPE_CHECKING:
    from dhtstore.node.node import Node

COMMIT_GROUP_BYTES = 128 * MIB  # what one fsync and one index transaction cover


async def receive_unit(
    node: Node,
    unit: Unit,
    sources: Sources,
    *,
    room: Reservation | None = None,
    progress: Callable[[int], None] = lambda done_bytes: None,
) -> Totals:
    """Fetch what is missing and verify what is there.

    ``progress`` gets the block bytes done so far.  Raises what ``fetch`` raises, MalformedDag,
    NoRoom; what was committed before stays for the next try.
    """
    blocking, walk = node.ports.blocking, UnitWalk(unit)
    with node.ports.store.batch(room) as batch:
        await fetch(
            walk,
            sources,
            _no_output,
            store=node.ports.store,
            blocking=blocking,
            keep=_Keeper(node.ports.store, batch).keep,
            progress=progress,
        )
        await blocking.run(batch.commit)
    return Totals(walk.size_bytes, walk.blocks)


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


async def _no_output(outputs: Sequence[Output]) -> None:
    if outputs:
        raise LocalProtocolError("a unit walk yields blocks, not output")
