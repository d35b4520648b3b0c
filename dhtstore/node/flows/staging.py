"""On a client the local copy of a put is only staging, dropped when no put needs it.

A client's store holds staging and pinned content, nothing else; so dropping is forgetting
every block that no pin reaches.
"""

from __future__ import annotations

import asyncio

from dhtstore.content.dag.local import Leaves, local_blocks
from dhtstore.errors import BlockMissing, IntegrityFailure
from dhtstore.node.context import Disk
from dhtstore.node.warnings import Warnings
from dhtstore.store.ledger.pins import Pins
from dhtstore.trace import Tracer

_DELETE_AT_ONCE = 1024


class Staging:
    """``async with`` around each put; the last one out cleans up, and whoever comes meanwhile
    waits, so that nothing is dropped under a put that has begun."""

    def __init__(
        self, disk: Disk, pins: Pins, tracer: Tracer, warnings: Warnings, *, keeps_all: bool
    ) -> None:
        """``keeps_all`` on a storage node: there a put's own copy is one that was asked for."""
        self._disk, self._pins, self._tracer, self._keeps_all = disk, pins, tracer, keeps_all
        self._warnings = warnings
        self._puts = 0
        self._dropping = asyncio.Lock()

    async def __aenter__(self) -> None:
        async with self._dropping:
            self._puts += 1

    async def __aexit__(self, *error: object) -> None:
        self._puts -= 1
        if self._keeps_all:
            return
        async with self._dropping:
            if self._puts == 0:
                with self._warnings.tolerated("staging", "what was staged cannot be dropped"):
                    await self._disk.blocking.run(self._drop)

    def _drop(self) -> None:
        """Nothing is dropped while a pinned root is damaged: what lies below the damage cannot
        be told from staging.  ``dhtstore verify`` finds it."""
        store = self._disk.store
        kept: set[bytes] = set()
        for pin in self._pins.list():
            try:
                blocks = local_blocks(store, pin.cid, Leaves.NAMED)
                kept.update(cid.multihash for cid in blocks)
            except (BlockMissing, IntegrityFailure) as error:
                self._tracer("pin.damaged", root=str(pin.cid), error=str(error))
                return
        unpinned = [cid for cid in store.cids() if cid.multihash not in kept]
        for start in range(0, len(unpinned), _DELETE_AT_ONCE):
            store.delete(unpinned[start : start + _DELETE_AT_ONCE])
