"""One scenario run: a population, its churn, faults and users, watched, checked and written down.

data path: Scenario -> World (warm or joined) -> drivers (churn, arrivals, faults), users -> journal
and samples -> checkers -> RunFolder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from dhtstore.params import K
from dhtstore.tasks import run_all
from simulations.checks.checker import Violation
from simulations.events.fault_schedule import Fault
from simulations.events.users import OPERATION_TIMEOUT_S
from simulations.lab.one_run.cost import Cost, rare_collections
from simulations.lab.one_run.drivers import Drivers
from simulations.lab.one_run.futures import check_branch
from simulations.lab.one_run.hooks.measuring import measured
from simulations.lab.one_run.inspector import Inspector
from simulations.lab.one_run.progress import ProgressDisplay, Status
from simulations.lab.one_run.recorder import Recorder
from simulations.lab.one_run.sampler import Sampler
from simulations.lab.one_run.scenario_module import OwnCode, Parts, ScenarioModule
from simulations.lab.one_run.world import World
from simulations.nodes.warm_lookups import warm_up
from simulations.nodes.warm_start import start_all
from simulations.results.halves import differences
from simulations.results.rows import OperationRow
from simulations.results.run_folder import RunFolder
from simulations.results.summary import summarise, summarise_groups
from simulations.scenario import Scenario
from simulations.service.judge import judge
from simulations.world.loop.virtual_loop import shut_down
from simulations.world.trace import Trace

_GRACE_S = 60.0  # for most of the last operations
_TIMERS_PER_LOOK = 256  # after so many the progress bar may be drawn again
Companion = Callable[[World], Coroutine[Any, Any, None]]


class Experiment:
    """``folder`` is where files named in the scenario are looked for; ``faults`` replaces the
    scenario's own schedule (for replays and shrinking); ``companion`` runs beside the scenario from
    its begin to its end; ``parts`` are what a module would define, of a scenario without one."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        results: RunFolder | None,
        *,
        folder: Path,
        trace: Trace | None = None,
        progress: ProgressDisplay | None = None,
        faults: list[Fault] | None = None,
        companion: Companion | None = None,
        parts: Parts | None = None,
    ) -> None:
        self._cost = Cost()
        self._progress, self._companion, self._parts = progress, companion, parts
        self.trace, self.recorder = trace or Trace(), Recorder(results)
        self.world = World(scenario, seed, folder, self.trace, self.recorder)
        self.world.loop.on_timer = self.trace.timer if progress is None else self._timer
        self._made_s: float | None = None
        self._timers = self._cut_off = 0
        self._outcome: dict[str, Any] = {}
        self._plan(faults)

    def _plan(self, faults: list[Fault] | None) -> None:
        """What happens once the world is made; see ``branches`` for what may still change."""
        world = self.world
        self._module = ScenarioModule(world.scenario, world.folder, self._parts)
        self.recorder.keeps_samples = bool(self._module.measures)
        self._own = OwnCode(self._module)
        self._drivers = Drivers(world, faults)
        self._sampler = Sampler(world)
        self._inspector = Inspector(world, self._module.checkers)
        self._settings = world.scenario.settings_sha256(world.folder)

    @property
    def faults(self) -> list[Fault]:
        """What strikes, in order of time."""
        return self._drivers.faults

    @property
    def violations(self) -> list[Violation]:
        """What checkers have found."""
        return self._inspector.violations

    # --- the whole run ----------------------------------------------------------------------

    def begin(self) -> None:
        """Make the world: every node that is up at the start runs and has joined."""
        with self.world.watched(), rare_collections():
            self.world.loop.run_until_complete(self._begin())
        self._made_s = self.world.loop.time()
        self._cost.begun()

    def branch(self, scenario: Scenario, results: RunFolder | None) -> None:
        """Go on as ``scenario``, before ``run``; raises ScenarioError if its beginning differs."""
        check_branch(self.world.scenario, scenario)
        self._cost.restart()
        self.recorder.write_to(results)
        self.world.go_on_as(scenario)
        self._plan(None)

    def run(self) -> dict[str, Any]:
        """Run to the end; the summary.  KeyboardInterrupt ends it early with what there is, and so
        does an error, which is raised again."""
        interrupted, failed, world = False, "", self.world
        self._cost.start()
        try:
            if self._made_s is None:
                self.begin()
            with world.watched(), rare_collections():
                world.loop.run_until_complete(self._own.unless_it_fails(self._go_on()))
        except KeyboardInterrupt:
            interrupted = True
            self._sample_end()
        except Exception as error:
            failed = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._cost.stop()
            self._inspector.count_unseen_errors()
            summary = self._summary(interrupted=interrupted, failed=failed)
            summary |= measured(summary, self.recorder, world.scenario, self._module.measures)
            shut_down(world.loop)
            world.close()
            if self.recorder.folder is not None:
                self.recorder.folder.finish(summary)
        return summary

    # --- its parts --------------------------------------------------------------------------

    async def _begin(self) -> None:
        numbers, run = self._drivers.up_at_start(), self.world.scenario.run
        if run.warm_start:
            await start_all(self.world.population, numbers, self._drivers.past)
        else:
            entries = [partial(self._enter, number) for number in numbers]
            await run_all(entries[:1], limit=1)  # it starts the network that the others join
            await run_all(entries[1:], limit=run.joins_at_once)
        await warm_up(self.world.population, run.warm_lookups)

    async def _enter(self, number: int) -> None:
        """Start a node and join, which is an operation as users see it."""
        population, loop = self.world.population, self.world.loop
        await population.start(number)
        begun_s, group = loop.time(), population.members[number].group
        ok = await population.join(number)
        self.recorder.operation(
            OperationRow(begun_s, loop.time(), "join", number, number, 0, 0, 0, 0, ok, group=group)
        )

    async def _go_on(self) -> None:
        world = self.world
        self._drivers.come_and_go()
        await world.settle()
        self.recorder.leave_out(*world.burn_in_s)
        others = [self._sampler.run(), self._inspector.run(), self._own.drive(world)]
        others += [self._companion(world)] if self._companion is not None else []
        self._drivers.start(*others)
        await self._work()
        await world.until(world.scenario.run.duration_s + _GRACE_S)
        await world.users.settle(OPERATION_TIMEOUT_S)  # then OperationsEnd judges what still runs
        await self._drivers.close()
        self._inspector.look()
        self._sample_end()
        await world.users.close()
        await world.population.stop()
        self._inspector.look()

    async def _work(self) -> None:
        """Let users do what the workload says."""
        world = self.world
        for operation in self._module.operations(world.chance):
            if operation.at_s >= world.scenario.run.duration_s:
                break
            await world.until(operation.at_s)
            world.users.begin(operation)

    def _sample_end(self) -> None:
        self._cut_off = self.world.users.under_way
        self._outcome = self.world.outcome()
        self._sampler.at_end()

    # --- telling ----------------------------------------------------------------------------

    def _timer(self, when_s: float) -> None:
        self.trace.timer(when_s)
        self._timers += 1
        if self._progress is not None and self._timers % _TIMERS_PER_LOOK == 0:
            self._progress(self._status)

    def _status(self) -> Status:
        world, run = self.world, self.world.scenario.run
        return Status(
            world.loop.time(),
            self._made_s,
            run.settle_s + run.duration_s + _GRACE_S,
            len(world.population.up()),
            len(world.population.members),
            world.loop.fired,
        )

    def _summary(self, *, interrupted: bool, failed: str) -> dict[str, Any]:
        world, inspector = self.world, self._inspector
        messages = world.network.sent_datagrams
        operations = summarise(self.recorder.rows)
        ended = not (interrupted or failed)
        return {
            "trace_sha256": self.trace.hexdigest(),
            "trace_entries": self.trace.entries,
            "interrupted": interrupted,
            "failed": failed,
            "parts_given": self._parts is not None,
            "nodes": world.scenario.run.nodes,
            "lives": world.population.lives,
            "virtual_s": world.loop.time(),
            "events": world.loop.fired,
            "messages": messages,
            "messages_by_kind": dict(sorted(world.network.sent_by_kind.items())),
            "k": K,
            "faults": len(self.faults),
            "violations": [f"{v.at_s:.3f} s {v.checker}: {v.what}" for v in inspector.violations],
            "looks_of_checkers": inspector.looks,
            "checkers": inspector.verdicts(),
            "operations": operations,
            "operations_by_group": summarise_groups(self.recorder.rows),
            "service": judge(world.scenario.service, self._settings, operations, ended=ended),
            "operations_cut_off": self._cut_off,
            **_not_reached(world),
            "halves_differ": differences(self.recorder.rows, *world.measured_s),
            **self._outcome,
            "means": self.recorder.means(),
            **self._cost.summary(messages),
            "python": sys.version.split()[0],
        }


def _not_reached(world: World) -> dict[str, Any]:
    """What its own code waits for and this run is too short for."""
    duration_s, awaited_s = world.scenario.run.duration_s, world.awaited_s
    late = awaited_s > duration_s + _GRACE_S
    return {"not_reached": {"at_s": awaited_s, "duration_s": duration_s}} if late else {}
