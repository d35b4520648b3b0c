"""Who counts copies and believes nobody: each node is asked for blocks of each unit, picked at
random, and counts if it gives them.

It cannot ask all of them at one instant.  So of each unit it asks one after the other, whoever may
let its copy go before those that it may go to: the first has none from when it says no, and who
says no later had none then either.  Too few are hence too few at that instant.

Who says nothing is no copy too few yet: on a machine that is busy a connection ends, or is not
made in time, though all is there.  It is asked again, and counts for none once it says no, or
nothing again and again.
"""

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
_TRIES = 4
_AGAIN_S = 0.1
_ASKED_AT_ONCE = 16


@dataclass(slots=True)
class Observer:
    """A visitor, which knows nodes by their tickets alone, and asks them in that order.
    ``fewest`` is what ``look`` counted least so far, and ``lacks`` what the others said then;
    ``looks`` is how often it has counted."""

    node: Node
    tickets: Sequence[str]
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    fewest: int = 10**9
    lacks: Sequence[str] = ()
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
        return counts

    async def watch(self, units: Sequence[Unit], at_once: int, pause_s: float) -> None:
        """Look again and again at ``at_once`` of them, until it is cancelled."""
        while True:
            await self.look(self.rng.sample(units, min(at_once, len(units))))
            await asyncio.sleep(pause_s)

    async def _count(self, unit: Unit) -> int:
        said = [await self._lack(each, unit) for each in self.tickets]
        lacks = [each for each in said if each]
        count = len(said) - len(lacks)
        if count < self.fewest:
            self.fewest, self.lacks = count, lacks
        return count

    async def _lack(self, ticket: str, unit: Unit) -> str:
        """Why it does not count; "" if it does."""
        place, why = Ticket.parse(ticket), ""
        for _ in range(_TRIES):
            try:
                link = await self.node.links.to(place.public_key, list(place.addresses), _DIAL_S)
                return await lack_of_sample(link, unit, self.rng, self.node.disk.blocking)
            except DhtstoreError as error:
                why = f"{place.addresses[0]}: {error}"
            await asyncio.sleep(_AGAIN_S)
        return why


@asynccontextmanager
async def observer(home: Path, tickets: Sequence[str]) -> AsyncIterator[Observer]:
    """Of the network of the first ticket."""
    async with visiting(home, tickets[:1], "", lambda seed, key: None) as here:
        yield Observer(here.node, tickets)
