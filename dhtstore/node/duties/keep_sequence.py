"""Write down which sequence numbers were given, so that the next start gives none of them again,
wherever its clock stands then."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from dhtstore.net.ports import Blocking
from dhtstore.node.identity import Identity
from dhtstore.node.warnings import Warnings
from dhtstore.params import SEQUENCES_RESERVED
from dhtstore.store.ledger.sequence import LastSequence


@dataclass(frozen=True, slots=True)
class KeepSequence:
    """A disk that takes no write costs only what this is for: a warning tells, the node goes on."""

    identity: Identity
    row: LastSequence
    blocking: Blocking
    warnings: Warnings

    def __post_init__(self) -> None:
        self.warnings.can_be_tried("sequence", self.reserve)

    async def begin(self) -> None:
        """Go on above what earlier lives of this node gave."""
        self.identity.sequences.used(await self.blocking.run(self.row.load))
        await self.reserve()

    async def run(self) -> None:
        """Forever."""
        while True:
            await asyncio.sleep(SEQUENCES_RESERVED / 4)  # in seconds, which numbers are too
            await self.reserve()

    async def end(self) -> None:
        """What was not given is free again; nothing, unless it began."""
        if self.identity.sequences.reserved:
            await self._save(self.identity.sequences.last)

    async def reserve(self) -> None:
        """Write ahead, if it is time for that or the last try was in vain."""
        reserved = self.identity.sequences.reserve(self.identity.now_unix_s())
        if reserved is not None:
            await self._save(reserved)

    async def _save(self, reserved: int) -> None:
        with self.warnings.tolerated("sequence", "sequence numbers cannot be written down"):
            await self.blocking.run(self.row.save, reserved)
            self.identity.sequences.reserved = reserved
