"""Tables as nodes have them that were used: by lookups before the scenario begins."""

from __future__ import annotations

import contextlib
import random
from functools import partial

from dhtstore.errors import DhtstoreError
from dhtstore.params import LOOKUP_TIMEOUT_S, NODE_ID_BYTES
from dhtstore.tasks import run_all
from simulations.nodes.population import Member, Population
from simulations.seeds import derived_seed

_AT_ONCE = 50


async def warm_up(population: Population, lookups: int) -> None:
    """Each node that is up looks up so many random keys, in random order."""
    rng = random.Random(derived_seed(population.seed, "warm lookups"))
    members = [member for member in population.up() for _ in range(lookups)]
    rng.shuffle(members)
    keys = [(member, rng.randbytes(NODE_ID_BYTES)) for member in members]
    await run_all([partial(_look_up, population, *one) for one in keys], limit=_AT_ONCE)


async def _look_up(population: Population, member: Member, key: bytes) -> None:
    with contextlib.suppress(DhtstoreError):
        work = member.running.dht.lookup(key, timeout_s=LOOKUP_TIMEOUT_S)
        await population.run(member.number, work)
