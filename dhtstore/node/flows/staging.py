"""What puts leave behind.  On a client the local copy of a put is only staging, dropped when no put
needs it; on a storage node what a put wrote that came to nothing.

A client's store holds staging and pinned content, nothing else; so dropping is forgetting
every block that no pin reaches.  What a put that was killed has left is dropped at the start.
A storage node drops of what such a put wrote what nothing needs that is kept there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from dhtstore.content.dag.local import Leaves, local_blocks, unit_blocks
from dhtstore.errors import BlockMissing, DhtstoreError, IntegrityFailure
from dhtstore.model.cid import RAW, Cid
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.kept import kept_units
from dhtstore.node.importing.batch import Staged
from dhtstore.node.warnings import Warnings
from dhtstore.trace import Tracer

_DELETE_AT_ONCE = 1024


class Granted(Protocol):
    """As much of a link as matters here."""

    granted: int


class Staging:
    """``async with`` around whatever brings blocks in; the last one out cleans up, and whoever
    comes meanwhile waits, so that nothing is dropped under a put that has begun."""

    def __init__(
        self, disk: Disk, ledger: Ledger, tracer: Tracer, warnings: Warnings, *, keeps_all: bool
    ) -> None:
        """``keeps_all`` on a storage node: there a put's own copy is one that was asked for, and
        only what a put left that came to nothing is dropped."""
        self._disk, self._ledger, self._tracer, self.keeps_all = disk, ledger, tracer, keeps_all
        self._warnings = warnings
        warnings.can_be_tried("staging", self.drop)
        self._abandoned: set[bytes] = set()  # multihashes of what such puts wrote
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

    @asynccontextmanager
    async def of(self, staged: Staged) -> AsyncIterator[None]:
        """Around a put of this node's user: what it staged goes with it if nothing came of it."""
        async with self:
            try:
                yield
            finally:
                if self.keeps_all:
                    self._abandoned.update(staged.taken())

    async def drop(self) -> None:
        """Forget what no put needs."""
        if self.keeps_all and not self._abandoned:
            return
        async with self._dropping:
            if self._puts == 0:
                with self._warnings.tolerated("staging", "what was staged cannot be dropped"):
                    if self.keeps_all:
                        await self._disk.blocking.run(self._drop_abandoned)
                    else:
                        self._left = not await self._disk.blocking.run(self._drop)

    def _drop_abandoned(self) -> None:
        """Of what was abandoned all but what something that is kept here needs by now: nothing is
        brought in meanwhile.  All of it stays where damage keeps that from being told: the next put
        of the same finds it, and ``status`` counts it."""
        store, gone = self._disk.store, self._abandoned
        self._abandoned = set()
        try:
            for unit in kept_units(store, self._ledger, 0, self._tracer):
                gone.difference_update(cid.multihash for cid in unit_blocks(store, unit))
                if not gone:
                    return
        except (BlockMissing, IntegrityFailure) as error:
            self._tracer("staging.kept", blocks=len(gone), error=str(error))
            return
        try:
            self._delete([Cid(bytes((1, RAW)) + multihash) for multihash in gone])
        except DhtstoreError:
            self._abandoned |= gone  # for the next time
            raise

    def _drop(self) -> bool:
        """Nothing is dropped, and this is False, while a pinned root is damaged: what lies below
        the damage cannot be told from staging.  ``dhtstore verify`` finds it."""
        store = self._disk.store
        kept: set[bytes] = set()
        for pin in self._ledger.pins.list():
            try:
                blocks = local_blocks(store, pin.cid, Leaves.NAMED)
                kept.update(cid.multihash for cid in blocks)
            except (BlockMissing, IntegrityFailure) as error:
                self._tracer("pin.damaged", root=str(pin.cid), error=str(error))
                return False
        self._delete([cid for cid in store.cids() if cid.multihash not in kept])
        return True

    def _delete(self, cids: Sequence[Cid]) -> None:
        for start in range(0, len(cids), _DELETE_AT_ONCE):
            self._disk.store.delete(cids[start : start + _DELETE_AT_ONCE])
