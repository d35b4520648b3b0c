"""What happens in a world by itself, each kind in a task: machines come and go, faults strike."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Coroutine, Iterator
from typing import Any

from dhtstore.tasks import Supervisor, tell_the_loop
from simulations.events.arrivals import Newcomer
from simulations.events.fault_injection import FaultInjector
from simulations.events.fault_schedule import Fault, schedule
from simulations.events.lives import Lives
from simulations.lab.one_run.world import World
from simulations.nodes.entering import enter
from simulations.seeds import derived_seed
from simulations.world.ports.disks import CrashedMeanwhile


class Drivers:
    """Of one way on from a world; ``faults`` replaces the scenario's own schedule."""

    def __init__(self, world: World, faults: list[Fault] | None = None) -> None:
        self._world = world
        self._tasks = Supervisor(on_failure=tell_the_loop)
        scenario, chance = world.scenario, world.chance
        nodes, duration_s = scenario.run.nodes, scenario.run.duration_s
        self._lives = Lives(scenario, world.seed, chance, world.folder)
        self._newcomers = self._lives.newcomers()
        if faults is None:
            faults = schedule(scenario.faults, nodes, duration_s, chance)
        self.faults = faults
        self._injector = FaultInjector(
            world.population, world.network, world.damage, scenario.disk.in_work
        )

    def up_at_start(self) -> list[int]:
        """Numbers of the nodes that run when the scenario begins."""
        return self._lives.up_at_start()

    def past(self, number: int) -> Iterator[float]:
        """How long a node's present state has lasted when the world is made, how long those before
        did."""
        return self._lives.past(number)

    def come_and_go(self) -> None:
        """Begin with the churn: it does not wait until a world has settled."""
        self._tasks.spawn(self._come_and_go(), "churn")
        self._tasks.spawn(self._arrive(), "arrivals")

    def start(self, *others: Coroutine[Any, Any, None]) -> None:
        """Begin with what else happens, and drive ``others`` besides: each ends with this."""
        self._tasks.spawn(self._strike(), "faults")
        self._tasks.spawn(self._world.attack.run(self._world, self._world.chance), "attack")
        for number, other in enumerate(others, start=1):
            self._tasks.spawn(other, f"driver {number}")

    async def close(self) -> None:
        """Cancel what has not come to its end."""
        await self._tasks.close()
        await self._world.attack.close()

    # --- churn ------------------------------------------------------------------------------

    async def _come_and_go(self) -> None:
        population = self._world.population
        for change in self._lives.changes():
            await self._world.since_made(change.at_s)
            if change.up:
                self._tasks.spawn(self._return(change.node, with_data=change.with_data), "return")
            elif change.orderly:
                self._tasks.spawn(population.leave(change.node), "leave")
            else:
                population.crash(change.node)

    async def _return(self, number: int, *, with_data: bool) -> None:
        population = self._world.population
        dark = not population.power.has(population.members[number].domain)
        if not (dark or population.can_start(number)):
            return  # it never went, or a fault that ended is bringing it back
        if not with_data:
            self._world.damage.data_lost(number, self._world.loop.time())
        if dark:
            population.power.wait(number, with_data=with_data)
            return
        with contextlib.suppress(CrashedMeanwhile):  # while it started or joined
            await population.start(number, with_data=with_data)
            await enter(population, number)

    # --- machines that are new --------------------------------------------------------------

    async def _arrive(self) -> None:
        world = self._world
        rng = random.Random(derived_seed(world.chance, "arrivals/roles"))
        for newcomer in self._newcomers:
            await world.since_made(newcomer.at_s)
            member = world.add(world.scenario.group(newcomer.group), rng)
            self._tasks.spawn(self._visit(member.number, newcomer), "visit")

    async def _visit(self, number: int, newcomer: Newcomer) -> None:
        self._tasks.spawn(self._return(number, with_data=True), "return")
        if newcomer.stays_s == math.inf:
            return
        await self._world.since_made(newcomer.at_s + newcomer.stays_s)
        if newcomer.orderly:
            await self._world.population.leave(number)
        else:
            self._world.population.crash(number)

    # --- faults -----------------------------------------------------------------------------

    async def _strike(self) -> None:
        world = self._world
        for fault in self.faults:
            await world.until(fault.at_s)
            now_s = world.loop.time()
            world.recorder.sample(now_s, "fault_lasting_s", fault.lasting_s, fault.kind)
            self._tasks.spawn(self._injector.strike(fault), f"fault {fault.kind}")
