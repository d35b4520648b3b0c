"""Who counts copies and believes nobody: each node is asked for blocks of each unit, picked at
random, and counts if it gives them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dhtstore.api.hosting import visiting
from dhtstore.errors import DhtstoreError
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.checking.sample import lack_of_sample
from dhtstore.node.node import Node
from dhtstore.tasks import run_all
from dhtstore.wire.ticket import Ticket

_DIAL_S = 5.0
_ASKED_AT_ONCE = 16


@dataclass(slots=True)
class Observer:
    """A visitor, which knows nodes by their tickets alone.  ``fewest`` is what ``look`` counted
    least so far, ``looks`` how often it has counted."""

    node: Node
    tickets: Sequence[str]
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    fewest: int = 10**9
    looks: int = 0

    async def units(self, cids: Sequence[str]) -> list[Unit]:
        """All that these are cut into."""
        found = await run_all([partial(self._units, cid) for cid in cids], _ASKED_AT_ONCE)
        return [unit for some in found for unit in some]

    async def _units(self, cid: str) -> list[Unit]:
        async with self.node.fetch_session() as session:
            return await session.units(Cid.parse(cid))

    async def look(self, units: Sequence[Unit]) -> list[int]:
        """How many nodes give blocks of each of ``units``, now."""
        counts = await run_all([partial(self._count, each) for each in units], _ASKED_AT_ONCE)
        self.looks += 1
        self.fewest = min([self.fewest, *counts])
        return counts

    async def watch(self, units: Sequence[Unit], at_once: int, pause_s: float) -> None:
        """Look again and again at ``at_once`` of them, until it is cancelled."""
        while True:
            await self.look(self.rng.sample(units, min(at_once, len(units))))
            await asyncio.sleep(pause_s)

    async def _count(self, unit: Unit) -> int:
        asked = [partial(self._gives, each, unit) for each in self.tickets]
        return sum(await run_all(asked, len(asked)))

    async def _gives(self, ticket: str, unit: Unit) -> bool:
        place = Ticket.parse(ticket)
        try:
            link = await self.node.links.to(place.public_key, list(place.addresses), _DIAL_S)
            return not await lack_of_sample(link, unit, self.rng, self.node.disk.blocking)
        except DhtstoreError:
            return False


@asynccontextmanager
async def observer(home: Path, tickets: Sequence[str]) -> AsyncIterator[Observer]:
    """Of the network of the first ticket."""
    async with visiting(home, tickets[:1], "", lambda seed, key: None) as here:
        yield Observer(here.node, tickets)
