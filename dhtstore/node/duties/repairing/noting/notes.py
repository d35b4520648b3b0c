"""What repair knows is written down where the disk takes it.  A holder whose disk is full, or can
only be read, has what others need all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dhtstore.net.ports import Blocking
from dhtstore.node.warnings import Warnings

_WHAT: Final = "copies known"
_DOES: Final = "what is known of copies cannot be written down"


@dataclass(frozen=True, slots=True)
class Notes:
    """For whatever may be lost: what is found out again, or only told."""

    blocking: Blocking
    warnings: Warnings

    async def write(self, work: Callable[..., object], *given: object) -> bool:
        """Whether it was written; else why not is a warning until something is."""
        with self.warnings.tolerated(_WHAT, _DOES):
            await asyncio.shield(self.blocking.run(work, *given))
            return True
        return False
