"""Compare what is kept with what is in the store, right after the start: a disk may not be mounted,
or have lost something, while the node was down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from dhtstore.model.unit import Unit
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.identity import Identity
from dhtstore.params import REPROVIDE_PAUSE_S

_UNITS_AT_ONCE: Final = 64  # read from the ledger


@dataclass(frozen=True, slots=True)
class Stocktaking:
    """One look at every unit, with a pause after each: commands come first."""

    identity: Identity
    completeness: Completeness
    on_incomplete: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """To its end."""
        run = self.completeness.disk.blocking.run
        kept = self.completeness.kept(self.identity.now_unix_s())
        incomplete = 0
        while units := await run(_some, kept):
            for unit in units:
                incomplete += bool(await self.completeness.lack(unit))
                await asyncio.sleep(REPROVIDE_PAUSE_S)
        self.completeness.looked(incomplete)
        if incomplete:
            self.on_incomplete()


def _some(kept: Iterator[Unit]) -> list[Unit]:
    return list(islice(kept, _UNITS_AT_ONCE))
