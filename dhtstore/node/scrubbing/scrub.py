"""All blocks here are read again in the background and compared with their names: when, and how
fast, says ``replication.scrubbing``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from dhtstore.model.cid import Cid
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk
from dhtstore.node.identity import Identity
from dhtstore.node.scrubbing.reading import BlocksRead
from dhtstore.node.warnings import Warnings
from dhtstore.params import (
    DAY_S,
    SCRUB_FIRST_S,
    SCRUB_SAVED_S,
    SCRUB_STEP_BLOCKS,
    SCRUB_STEP_BYTES,
    SCRUB_STEP_S,
)
from dhtstore.replication.scrubbing import ScrubPass
from dhtstore.store.ledger.health.scrubbed import Scrubbed, ScrubRow

_WHAT: Final = "scrubbed"


@dataclass(slots=True)
class Scrub:
    """``found`` is told of each damaged block."""

    identity: Identity
    disk: Disk
    scrubbed: Scrubbed
    clock: Clock
    warnings: Warnings
    found: Callable[[Cid], Awaitable[None]]
    _pass: ScrubPass | None = None  # as it is known here; what is written down may be older
    _saved_s: float = field(default=float("-inf"))

    async def run(self) -> None:
        """Forever."""
        self.warnings.can_be_tried(_WHAT, self._write_down)
        await asyncio.sleep(SCRUB_FIRST_S)
        while True:
            if self._pass is None:
                self._pass = ScrubPass(*await self.disk.blocking.run(self.scrubbed.load))
            due_in_s = self._pass.due_in_s(self.identity.now_unix_s())
            if due_in_s > 0:
                await asyncio.sleep(min(due_in_s, DAY_S))  # the clock may be set meanwhile
            else:
                await asyncio.sleep(await self._step(self._pass))

    def verified(self) -> None:
        """All blocks were read for other reasons, and that is written down."""
        self._pass = None

    async def _step(self, known: ScrubPass) -> float:
        """Read some blocks; how long to pause then."""
        self._pass = scrub = known.begun(self.identity.now_unix_s())
        read, took_s = await self.disk.blocking.run(self._read, scrub.at)
        for cid in read.damaged:
            await self.found(cid)
        if self._pass is not scrub:
            return 0.0
        self._pass = scrub.ended() if read.over else scrub.advanced(read.at)
        if read.over or self.clock.monotonic_s() - self._saved_s >= SCRUB_SAVED_S:
            self._saved_s = self.clock.monotonic_s()
            await self._write_down()
        if self._pass is None:
            return 0.0
        stored_bytes, now_unix_s = self.disk.store.used_bytes, self.identity.now_unix_s()
        return self._pass.pause_s(now_unix_s, read.size_bytes, took_s, stored_bytes)

    def _read(self, after: bytes) -> tuple[BlocksRead, float]:
        """What there is to a step, and how long it took; in a worker."""
        began_s, took_s, read = self.clock.monotonic_s(), 0.0, BlocksRead()
        cids = self.disk.store.cids(after)
        for _ in range(SCRUB_STEP_BLOCKS):
            read.read(self.disk.store, cids)
            took_s = self.clock.monotonic_s() - began_s
            if read.over or read.size_bytes >= SCRUB_STEP_BYTES or took_s >= SCRUB_STEP_S:
                break
        return read, took_s

    async def _write_down(self) -> None:
        with self.warnings.tolerated(_WHAT, "how far blocks are verified cannot be written down"):
            if self._pass is not None:
                await self.disk.blocking.run(self.scrubbed.save, ScrubRow(*self._pass))
