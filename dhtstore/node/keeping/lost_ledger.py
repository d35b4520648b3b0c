"""Blocks whose ledger is gone: what they are kept for is not known, so nothing goes by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dhtstore.node.context import Disk, Ledger
from dhtstore.node.warnings import Warnings

_WHAT: Final = "ledger-lost"  # what a warning is called
_TOLD: Final = (
    "there are blocks here, and the ledger that says what they are kept for is gone: nothing is"
    " removed; put back the ledger from a backup, put or pin again what is to stay"
    " (`dhtstore gc --dry-run` tells how much would go), then `dhtstore gc` removes the rest"
)


@dataclass(slots=True)
class LostLedger:
    """``held`` until the user asks for a collection; also where it cannot be told, or not written
    down, that the ledger is new: beside a full disk, too, nothing goes that has a receipt."""

    disk: Disk
    ledger: Ledger
    warnings: Warnings
    held: bool = False

    async def begin(self) -> None:
        """Before anything is written to the ledger at a start: see whether it is the one that was
        there when the blocks came."""
        self.held, known = True, self.ledger.standing.is_known
        with self.warnings.tolerated("standing", "it cannot be written down whose blocks are here"):
            found = await self.disk.blocking.run(lambda: known(blocks=self.disk.store.count() > 0))
            self.held = not found
            await self.disk.blocking.run(lambda: self.ledger.standing.begin(known=found))
        if self.held:
            self.warnings.tell(_WHAT, _TOLD)

    async def release(self) -> None:
        """What the ledger does not know may go, as it was asked."""
        if self.held:
            await self.disk.blocking.run(self.ledger.standing.settle)
            self.held = False
            self.warnings.over(_WHAT)
