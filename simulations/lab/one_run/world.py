"""The world of a scenario: what its drivers, its own module and its checkers work with."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulations.events.adversary.attack import Attack
from simulations.events.adversary.outcome import outcome
from simulations.events.damage import DamageRecord
from simulations.events.users import Users
from simulations.lab.one_run.futures import seed_of_future
from simulations.lab.one_run.hooks.hooks import Hooks
from simulations.lab.one_run.recorder import Recorder
from simulations.lab.one_run.view import PopulationView
from simulations.lab.one_run.world_building import (
    disturb,
    files_of,
    latency_of,
    settings_of_nodes,
)
from simulations.nodes.datagram_kind import kind_of
from simulations.nodes.population import Member, Population
from simulations.scenario import Scenario
from simulations.seeds import derived_seed
from simulations.world.loop.guard import guarded
from simulations.world.loop.virtual_loop import VirtualLoop
from simulations.world.network.network import SimNetwork
from simulations.world.trace import Trace


class World(Hooks):
    """Machines, their network, users at them, and how long the scenario has run.

    ``seed`` decides how the world is made, ``chance`` (another for each of its futures) what
    happens in it.  ``folder`` is where files that the scenario names are looked for.
    """

    users: Users
    view: PopulationView
    awaited_s: float  # the latest time of the scenario that anybody waited for

    def __init__(
        self, scenario: Scenario, seed: int, folder: Path, trace: Trace, recorder: Recorder
    ) -> None:
        self.seed, self.folder, self.trace, self.recorder = seed, folder, trace, recorder
        self.loop = VirtualLoop()
        self.network = SimNetwork(
            self.loop,
            random.Random(derived_seed(seed, "network")),
            latency_of(scenario, seed, folder),
            trace=trace,
        )
        self.network.kind_of = kind_of
        self.files = files_of(scenario.disk, seed, self.loop)
        self.population = Population(
            self.loop,
            self.network,
            seed,
            list(settings_of_nodes(scenario, seed)),
            scenario.run.clock_skew_s,
            self.files,
        )
        self.attack = Attack(scenario.adversary, self.population, seed)
        self._made_s = self._begun_s = 0.0
        self.go_on_as(scenario)
        links = random.Random(derived_seed(seed, "links"))
        for group in scenario.groups:
            for number in group.numbers:
                self.settle_in(self.population.members[number], group, links)

    def go_on_as(self, scenario: Scenario) -> None:
        """What happens from now on is as this scenario says; nothing has happened yet."""
        self.scenario = scenario
        self.chance = seed_of_future(self.seed, scenario.run.future)
        disturb(self.network, scenario.network)
        self.users = Users(self.population, self.chance, self.recorder.operation)
        self.damage = DamageRecord()
        self.begin_hooks(self.chance)
        self.awaited_s = 0.0
        self.view = PopulationView(self.population, self.users, self.damage)

    def newcomer(self, node_secret: bytes) -> Member:
        """One more machine with that secret, of the scenario's first group; it is down."""
        rng = random.Random(derived_seed(self.chance, f"newcomer/{node_secret.hex()}"))
        return self.add(self.scenario.groups[0], rng, node_secret)

    def outcome(self) -> dict[str, Any]:
        """What came of the attack, if there is one."""
        if not self.scenario.adversary.attacks:
            return {}
        honest = [one for one in self.population.up() if one.disguise is None]
        refused = sum(one.running.dht.counters.get("bad_signatures", 0) for one in honest)
        copies = self.view.copies(honest=True)
        return {"attack": outcome(self.attack, self.recorder.rows, copies, refused)}

    def key_of(self, object_number: int) -> bytes | None:
        """The DHT key of an object; None before it was put."""
        return self.view.key_of(object_number) if object_number in self.users.roots else None

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Nodes run only within the block."""
        with guarded(), self.files.watched() if self.files else contextlib.nullcontext():
            yield

    def close(self) -> None:
        """Take away the files that its nodes had."""
        if self.files is not None:
            self.files.close()

    async def settle(self) -> None:
        """Let the new world come to rest; the scenario begins at its end."""
        if self.scenario.run.future:
            self.network.rng.seed(derived_seed(self.chance, "network"))
        self._made_s = self.loop.time()
        await asyncio.sleep(self.scenario.run.settle_s)
        self._begun_s = self.loop.time()

    @property
    def burn_in_s(self) -> tuple[float, float]:
        """From when to when nothing is measured."""
        return self._begun_s, self._begun_s + self.scenario.run.burn_in

    @property
    def measured_s(self) -> tuple[float, float]:
        """From when to when users are watched, or were until the run was ended."""
        end_s = self._begun_s + self.scenario.run.duration_s
        return self.burn_in_s[1], min(end_s, self.loop.time())

    async def until(self, since_begin_s: float) -> None:
        """Wait for that time of the scenario."""
        self.awaited_s = max(self.awaited_s, since_begin_s)
        await asyncio.sleep(max(0.0, self._begun_s + since_begin_s - self.loop.time()))

    async def since_made(self, since_made_s: float) -> None:
        """Wait for that time of the world, which is there before the scenario begins."""
        await asyncio.sleep(max(0.0, self._made_s + since_made_s - self.loop.time()))
