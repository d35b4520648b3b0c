"""Providers that come and go: each announces its keys when it comes back and twice a day, while
random nodes search for random keys.  Who is named, who of those is dead, and is anybody missed?"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from dhtstore.dht.engine.harvest import FoundProviders, Provider
from dhtstore.errors import DhtstoreError
from dhtstore.model.identity import DhtKey
from dhtstore.params import LOOKUP_TIMEOUT_S, NODE_ID_BYTES, PROVIDERS_ASKED, REPROVIDE_INTERVAL_S
from dhtstore.tasks import Supervisor
from simulations.lab.one_run.world import World
from simulations.nodes.population import Member
from simulations.results.measure import Measure
from simulations.results.run_data import RunData
from simulations.settings import duration, integer

_LOOK_S = 10.0  # how soon after it came back a machine begins to announce


@dataclass(frozen=True, slots=True)
class Parameters:
    """Each key has up to ``providers_max`` machines, as many of each number; from ``warm_s`` on a
    search begins ``every_s``."""

    keys: int = integer(300, 1, 100_000)
    providers_max: int = integer(6, 1, 64)
    warm_s: float = duration("1 h")
    every_s: float = duration("20 s", 0.1)


@dataclass(slots=True)
class _Providing:
    """``announced`` are the keys, with their providers, that an index node was told of."""

    world: World
    keys: dict[int, list[DhtKey]] = field(default_factory=dict)  # of each machine
    machines: dict[DhtKey, list[int]] = field(default_factory=dict)
    announced: set[tuple[DhtKey, int]] = field(default_factory=set)
    due_s: dict[int, tuple[int, float]] = field(default_factory=dict)  # life, when to announce
    numbers: dict[bytes, int] = field(default_factory=dict)  # by public key

    def choose(self, parameters: Parameters, rng: random.Random) -> None:
        members = self.world.population.members
        self.numbers = {m.crypto.node.public_key: m.number for m in members}
        for number in range(parameters.keys):
            key = DhtKey(rng.randbytes(NODE_ID_BYTES))
            count = 1 + number % parameters.providers_max
            self.machines[key] = rng.sample(range(len(members)), min(count, len(members)))
            for machine in self.machines[key]:
                self.keys.setdefault(machine, []).append(key)

    def due(self, now_s: float) -> Iterator[Member]:
        """Machines that came back, or announced half a day ago."""
        for number in self.keys:
            member = self.world.population.members[number]
            life, due_s = self.due_s.get(number, (-1, 0.0))
            if member.ready and (member.life != life or now_s >= due_s):
                self.due_s[number] = member.life, now_s + REPROVIDE_INTERVAL_S
                yield member

    async def announce(self, member: Member) -> None:
        """One key after another."""
        for key in self.keys[member.number]:
            identity = member.running.identity
            records = [(identity.provider_record(key), identity.record())]
            work = member.running.dht.provide(key, records, timeout_s=LOOKUP_TIMEOUT_S)
            try:
                [published] = await self.world.population.run(member.number, work)
            except DhtstoreError:
                return  # it went meanwhile
            if published.holders:
                self.announced.add((key, member.number))
            if not member.ready:
                return

    def alive(self, number: int) -> bool:
        return self.world.population.members[number].ready

    def providers(self, key: DhtKey) -> set[int]:
        """Who is up and has announced it."""
        here = (n for n in self.machines[key] if self.alive(n) and (key, n) in self.announced)
        return set(here)

    async def search(self, member: Member, key: DhtKey) -> None:
        """One search, as a get begins; what it told is judged when it ends."""
        before, first = self.providers(key), list[Provider]()
        work = member.running.dht.find_providers(
            key, wanted=2 * PROVIDERS_ASKED, timeout_s=LOOKUP_TIMEOUT_S, on_provider=first.append
        )
        begun_s = self.world.loop.time()
        try:
            found = await self.world.population.run(member.number, work)
        except DhtstoreError:
            if not member.ready:
                return  # who searched went meanwhile
            found = FoundProviders([], 0, 0)
        self.world.sample("search_s", "", self.world.loop.time() - begun_s)
        named = [self.numbers[one.record.public_key] for one in found.providers]
        lasting = before & self.providers(key)
        if lasting:
            self.world.sample("found", "", float(not lasting.isdisjoint(named)))
            self.world.sample("live_named_share", "", len(lasting & set(named)) / len(lasting))
        dead = sum(not self.alive(number) for number in named)
        self.world.sample("named", "", len(named))
        self.world.sample("dead_named", "", dead)
        if first:
            asked = self.numbers[first[0].record.public_key]
            self.world.sample("first_asked_dead", "", float(not self.alive(asked)))


async def drive(world: World, parameters: Parameters, seed: int) -> None:
    """Announcements and searches, until the run ends."""
    rng, providing, tasks = random.Random(seed), _Providing(world), Supervisor()
    providing.choose(parameters, rng)
    tasks.spawn(_announce(providing, tasks), "announce")
    await world.until(parameters.warm_s)
    keys = list(providing.machines)
    while True:
        ready = [member for member in world.population.up() if member.ready]
        tasks.spawn(providing.search(rng.choice(ready), rng.choice(keys)), "search")
        await asyncio.sleep(parameters.every_s)


async def _announce(providing: _Providing, tasks: Supervisor) -> None:
    while True:
        for member in list(providing.due(providing.world.loop.time())):
            tasks.spawn(providing.announce(member), "announce")
        await asyncio.sleep(_LOOK_S)


def _mean(metric: str, run: RunData) -> float | None:
    values = [sample.value for sample in run.metric(metric)]
    return sum(values) / len(values) if values else None


def _dead_share(run: RunData) -> float | None:
    named = sum(sample.value for sample in run.metric("named"))
    dead = sum(sample.value for sample in run.metric("dead_named"))
    return dead / named if named else None


MEASURES = (
    Measure("found_share", partial(_mean, "found"), better="more"),
    Measure("live_named_share_mean", partial(_mean, "live_named_share"), better="more"),
    Measure("dead_named_share", _dead_share, better="less"),
    Measure("first_asked_dead_share", partial(_mean, "first_asked_dead"), better="less"),
    Measure("named_mean", partial(_mean, "named")),
    Measure("search_mean_s", partial(_mean, "search_s"), "s", "less"),
)
