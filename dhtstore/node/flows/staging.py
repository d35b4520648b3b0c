"""On a client the local copy of a put is only staging, dropped when no put needs it.

A client's store holds staging and pinned content, nothing else; so dropping is forgetting
every block that no pin reaches.  What a put that was killed has left is dropped at the start.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from dhtstore.content.dag.local import Leaves, local_blocks
from dhtstore.errors import BlockMissing, IntegrityFailure
from dhtstore.node.context import Disk
from dhtstore.node.warnings import Warnings
from dhtstore.store.ledger.pins import Pins
from dhtstore.trace import Tracer

_DELETE_AT_ONCE = 1024


class Granted(Protocol):
    """As much of a link as matters here."""

    granted: int


class Staging:
    """``async with`` around each put; the last one out cleans up, and whoever comes meanwhile
    waits, so that nothing is dropped under a put that has begun."""

    def __init__(
        self, disk: Disk, pins: Pins, tracer: Tracer, warnings: Warnings, *, keeps_all: bool
    ) -> None:
        """``keeps_all`` on a storage node: there a put's own copy is one that was asked for."""
        self._disk, self._pins, self._tracer, self.keeps_all = disk, pins, tracer, keeps_all
        self._warnings = warnings
        self._puts = 0
        self._dropping = asyncio.Lock()
        self._left = not keeps_all  # by puts: until it was dropped

    def may_show(self, link: Granted) -> bool:
        """Whether a peer may know what is here: while there is something that nobody was told of,
        only one that is asked to hold some of it."""
        return not self._left or link.granted > 0

    async def __aenter__(self) -> None:
        async with self._dropping:
            self._puts += 1
            self._left = not self.keeps_all

    async def __aexit__(self, *error: object) -> None:
        self._puts -= 1
        await self.drop()

    async def drop(self) -> None:
        """Forget what no put needs."""
        if self.keeps_all:
            return
        async with self._dropping:
            if self._puts == 0:
                with self._warnings.tolerated("staging", "what was staged cannot be dropped"):
                    self._left = not await self._disk.blocking.run(self._drop)

    def _drop(self) -> bool:
        """Nothing is dropped, and this is False, while a pinned root is damaged: what lies below
        the damage cannot be told from staging.  ``dhtstore verify`` finds it."""
        store = self._disk.store
        kept: set[bytes] = set()
        for pin in self._pins.list():
            try:
                blocks = local_blocks(store, pin.cid, Leaves.NAMED)
                kept.update(cid.multihash for cid in blocks)
            except (BlockMissing, IntegrityFailure) as error:
                self._tracer("pin.damaged", root=str(pin.cid), error=str(error))
                return False
        unpinned = [cid for cid in store.cids() if cid.multihash not in kept]
        for start in range(0, len(unpinned), _DELETE_AT_ONCE):
            store.delete(unpinned[start : start + _DELETE_AT_ONCE])
        return True
