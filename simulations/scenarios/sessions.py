"""Nodes die, each after an exponential life, and a new one takes the place of each at once, while
random nodes look random keys up: as Rhea et al. did in "Handling churn in a DHT" (2004)."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from dhtstore.tasks import run_all
from simulations.events.workload import OperationKind, UserAction
from simulations.lab.one_run.world import World
from simulations.nodes.population import Member
from simulations.seeds import derived_seed
from simulations.settings import duration, number

_RETRY_S = 10.0  # after a join that failed: the user tries again
_COUNTED_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Parameters:
    """``median_s`` of a life."""

    median_s: float = duration("1 h", 1.0)
    lookups_per_s: float = number(1.0, 0.001, 1000.0)


async def drive(world: World, parameters: Parameters, seed: int) -> None:
    """Deaths, lookups and counting, until the run ends."""
    mean_s = parameters.median_s / math.log(2)
    work: list[Callable[[], Coroutine[Any, Any, None]]] = [
        partial(
            _live,
            world,
            member,
            mean_s,
            random.Random(derived_seed(seed, f"lives/{member.number}")),
        )
        for member in world.population.up()
    ]
    work.append(partial(_look_up, world, parameters, random.Random(derived_seed(seed, "lookups"))))
    work.append(partial(_count, world))
    await run_all(work, limit=len(work))


async def _live(world: World, member: Member, mean_s: float, rng: random.Random) -> None:
    """One place, and who has it."""
    while True:
        await asyncio.sleep(rng.expovariate(1 / mean_s))
        member = await world.replace(member)
        while not member.ready:
            await asyncio.sleep(_RETRY_S)
            await world.population.join(member.number)


async def _look_up(world: World, parameters: Parameters, rng: random.Random) -> None:
    key, at_s = 0, 0.0
    while True:
        at_s += rng.expovariate(parameters.lookups_per_s)
        if at_s >= world.scenario.run.duration_s:
            return
        await world.until(at_s)
        ready = [member for member in world.population.up() if member.ready]
        key += 1
        client = rng.choice(ready).number
        world.users.begin(UserAction(at_s, OperationKind.LOOKUP, client, key))


async def _count(world: World) -> None:
    """Bytes of datagrams and streams, a node that is up and a second."""
    before = 0
    while True:
        await asyncio.sleep(_COUNTED_EVERY_S)
        members = world.population.members
        sent = sum(world.network.machine(member.address).sent_bytes for member in members)
        up = len(world.population.up())
        world.sample("sent_bytes_per_node_s", "", (sent - before) / _COUNTED_EVERY_S / max(up, 1))
        before = sent
