"""One scenario run: a population, its churn, faults and users, watched, checked and written down.

data path: Scenario -> network -> population (warm or joined) -> churn | faults | workload, each a
task -> journal and samples -> checkers -> RunFolder.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import random
import resource
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from dhtstore.errors import DhtstoreError
from dhtstore.node.ports import NodeSettings
from dhtstore.params import K
from dhtstore.tasks import all_ended, run_all
from simulations.checks.checkers import Violation, check_all
from simulations.events import churn
from simulations.events.damage import DamageRecord
from simulations.events.fault_injection import FaultInjector
from simulations.events.fault_schedule import Fault, schedule
from simulations.events.users import OPERATION_TIMEOUT_S, Users
from simulations.lab.branches import check_branch, seed_of_future
from simulations.lab.progress import Status
from simulations.lab.scenario_module import ScenarioModule
from simulations.lab.view import PopulationView
from simulations.nodes.instruments import kind_of
from simulations.nodes.population import Member, Population
from simulations.nodes.warm_start import start_all
from simulations.results.run_folder import OperationRow, RunFolder, quantile, summarise
from simulations.scenario import NetworkSettings, RunSettings, Scenario
from simulations.seeds import derived_seed
from simulations.world.loop.guard import guarded
from simulations.world.loop.virtual_loop import VirtualLoop, shut_down
from simulations.world.network.latency import (
    CoordinateLatency,
    FixedLatency,
    Latency,
    MatrixLatency,
    UniformLatency,
)
from simulations.world.network.network import SimNetwork
from simulations.world.trace import Trace

_SAMPLES_PER_RUN = 60
_CHECKS_PER_RUN, _CHECKS_OF_MANY = 12, 2  # looking at every table of many nodes takes seconds
_MANY_NODES = 500
_COLLECTION_THRESHOLDS = (200_000, 50, 10)  # rarely; a population frees its dead nodes itself
_GRACE_S = 60.0  # for most of the last operations
_TIMERS_PER_LOOK = 256  # after so many the progress bar may be drawn again
ProgressDisplay = Callable[[Callable[[], Status]], None]


class Experiment:
    """``folder`` is where files named in the scenario are looked for; ``faults`` replaces the
    scenario's own schedule (for replays and shrinking)."""

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
    ) -> None:
        self.seed, self._folder = seed, folder
        self.results, self._progress = results, progress
        self.trace = trace or Trace()
        self.loop = VirtualLoop()
        self.loop.on_timer = self.trace.timer if progress is None else self._timer
        self.network = _network(self.loop, self.trace, scenario.network, seed, folder)
        self.network.kind_of = kind_of
        settings, skew_s = list(_settings(scenario, seed)), scenario.run.clock_skew_s
        self.population = Population(self.loop, self.network, seed, settings, skew_s)
        links = random.Random(derived_seed(seed, "links"))
        for member in self.population.members:
            _condition(self.network, member, scenario.network, links)
        self.violations: list[Violation] = []
        self._rows: list[OperationRow] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._begun = False
        self._made_s = self._begun_s = self._wall_s = self._run_cpu_s = 0.0
        self._checks = self._timers = self._cut_off = 0
        self._cost_of_beginning = dict[str, float]()
        self._cpu_before_s = time.process_time()
        self._plan(scenario, faults)

    def _plan(self, scenario: Scenario, faults: list[Fault] | None) -> None:
        """What happens once the world has begun; see ``future`` for what may still change."""
        run, chance = scenario.run, seed_of_future(self.seed, scenario.run.future)
        self.scenario, self._chance = scenario, chance
        _disturb(self.network, scenario.network)
        model = churn.from_settings(scenario.churn, self._folder)
        self._churn = churn.Schedule(model, run.nodes, self.seed, chance) if model else None
        self._arrivals = list(churn.arrivals(scenario.churn, model, run.duration_s, chance))
        self.faults = (
            schedule(scenario.faults, run.nodes, run.duration_s, chance)
            if faults is None
            else faults
        )
        self._own = ScenarioModule(scenario, self._folder)
        self.users = Users(self.population, chance, self._record)
        self.damage = DamageRecord()
        self.view = PopulationView(self.population, self.users, self.damage)
        self.faulting = FaultInjector(self.population, self.network, self.damage)

    # --- the whole run ----------------------------------------------------------------------

    def begin(self) -> None:
        """Make the world: every node that is up at the start runs and has joined."""
        with guarded(), _rare_collections():
            self.loop.run_until_complete(self._begin())
        self._begun, self._made_s = True, self.loop.time()
        self._cost_of_beginning = {"begin_cpu_s": self._cpu_s(), "begin_rss_bytes": _rss_bytes()}

    def branch(self, scenario: Scenario, results: RunFolder | None) -> None:
        """Go on as ``scenario``, before ``run``; raises ScenarioError if its beginning differs."""
        check_branch(self.scenario, scenario)
        self.results = results
        self._cpu_before_s = time.process_time()
        for row in self._rows:
            self._write(row)
        self._plan(scenario, None)

    def run(self) -> dict[str, Any]:
        """To the end; the summary.  KeyboardInterrupt ends it early with what there is, and so
        does an error, which is raised again."""
        wall_s, interrupted, failed = time.monotonic(), False, ""
        try:
            if not self._begun:
                self.begin()
            with guarded(), _rare_collections():
                self.loop.run_until_complete(self._go_on())
        except KeyboardInterrupt:
            interrupted = True
            self._sample_end()
        except Exception as error:
            failed = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._wall_s, self._run_cpu_s = time.monotonic() - wall_s, self._cpu_s()
            self._tell_unseen()
            summary = self._summary(interrupted=interrupted, failed=failed)
            shut_down(self.loop)
            if self.results is not None:
                self.results.finish(summary)
        return summary

    async def _go_on(self) -> None:
        run = self.scenario.run
        if run.future:
            self.network.rng.seed(derived_seed(self._chance, "network"))
        await asyncio.sleep(run.settle_s)
        self._begun_s = self.loop.time()
        own = partial(self._own.drive, self, self._chance)
        drivers = self._churning, self._arriving, self._faulting, self._sampling, self._checking
        for work in (driver() for driver in (*drivers, own)):
            self._tasks.append(self.loop.create_task(self._guarded(work)))
        await self._working()
        await self.until(run.duration_s + _GRACE_S)
        await self.users.settle(OPERATION_TIMEOUT_S)  # then OperationsEnd judges what still runs
        for task in self._tasks:
            task.cancel()
        await all_ended(self._tasks)
        self._check()
        self._sample_end()
        await self.users.close()
        await self.population.stop()
        self._check()

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """A driver that fails is a defect of the laboratory and must be seen."""
        try:
            await work
        except Exception as error:
            self.loop.call_exception_handler({"message": "a driver failed", "exception": error})

    async def _begin(self) -> None:
        numbers = [
            number
            for number in range(self.scenario.run.nodes)
            if self._churn is None or self._churn.up_at_start[number]
        ]
        if self.scenario.run.warm_start:
            await start_all(self.population, numbers)
            return
        entries = [partial(self._enter, number) for number in numbers]
        await run_all(entries[:1], limit=1)  # it starts the network that the others join
        await run_all(entries[1:], limit=self.scenario.run.joins_at_once)

    async def _enter(self, number: int) -> None:
        await self.population.start(number)
        begun_s = self.loop.time()
        ok = await self.population.join(number)
        self._record(
            OperationRow(begun_s, self.loop.time(), "join", number, number, 0, 0, 0, 0, ok)
        )

    async def until(self, since_begin_s: float) -> None:
        """Wait for that time of the scenario."""
        await asyncio.sleep(max(0.0, self._begun_s + since_begin_s - self.loop.time()))

    # --- drivers ----------------------------------------------------------------------------

    async def _churning(self) -> None:
        if self._churn is None:
            return
        for change in self._churn.changes(self.scenario.run.duration_s):
            await self.until(change.at_s)
            if change.up:
                self._spawn(self._return(change.node, with_data=change.with_data))
            elif not change.up and change.orderly:
                self._spawn(self.population.leave(change.node))
            elif not change.up:
                self.population.crash(change.node)

    async def _arriving(self) -> None:
        rng = random.Random(derived_seed(self._chance, "arrivals/roles"))
        for arrival in self._arrivals:
            await self.until(arrival.at_s)
            member = self.population.add(_some_settings(self.scenario.run, rng))
            _condition(self.network, member, self.scenario.network, rng)
            self._spawn(self._visit(member.number, arrival))

    async def _visit(self, number: int, arrival: churn.Newcomer) -> None:
        await self._return(number, with_data=True)
        if arrival.stays_s == math.inf:
            return
        await self.until(arrival.at_s + arrival.stays_s)
        if arrival.orderly:
            await self.population.leave(number)
        else:
            self.population.crash(number)

    async def _return(self, number: int, *, with_data: bool) -> None:
        if not self.population.can_start(number):
            return  # it never went, or a fault that ended is bringing it back
        if not with_data:
            self.damage.data_lost(number, self.loop.time())
        await self.population.start(number, with_data=with_data)
        with contextlib.suppress(DhtstoreError):  # it crashed again while it joined
            await self.population.join(number)

    async def _faulting(self) -> None:
        for fault in self.faults:
            await self.until(fault.at_s)
            self._sample(self.loop.time(), "fault_lasting_s", fault.lasting_s, fault.kind)
            self._spawn(self.faulting.strike(fault))

    async def _working(self) -> None:
        for operation in self._own.operations(self._chance):
            if operation.at_s >= self.scenario.run.duration_s:
                break
            await self.until(operation.at_s)
            self.users.begin(operation)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(self.loop.create_task(self._guarded(work)))

    # --- watching ---------------------------------------------------------------------------

    async def _sampling(self) -> None:
        width_s = self.scenario.run.duration_s / _SAMPLES_PER_RUN
        sent = self.network.sent_datagrams
        for _ in range(_SAMPLES_PER_RUN):
            await asyncio.sleep(width_s)
            now_s, up = self.loop.time(), len(self.population.up())
            self._sample(now_s, "nodes_up", up)
            rate = (self.network.sent_datagrams - sent) / width_s / max(1, up)
            self._sample(now_s, "datagrams_per_node_s", rate)
            sent = self.network.sent_datagrams
            copies = sorted(self.view.copies())
            for label, share in (("fewest", 0.0), ("lower quartile", 0.25), ("median", 0.5)):
                if copies:
                    self._sample(now_s, "replicas", quantile(copies, share), label)

    def _timer(self, when_s: float) -> None:
        self.trace.timer(when_s)
        self._timers += 1
        if self._progress is not None and self._timers % _TIMERS_PER_LOOK == 0:
            self._progress(self._status)

    def _status(self) -> Status:
        run = self.scenario.run
        return Status(
            self.loop.time(),
            self._made_s if self._begun else None,
            run.settle_s + run.duration_s + _GRACE_S,
            len(self.population.up()),
            len(self.population.members),
            self.loop.fired,
        )

    def _sample_end(self) -> None:
        now_s, self._cut_off = self.loop.time(), self.users.under_way
        self._sample_buckets(now_s)
        for member in self.population.members:
            machine, label = self.network.machine(member.address), str(member.number)
            duration_s = max(now_s, 1e-9)
            self._sample(now_s, "node_sent_bytes_per_s", machine.sent_bytes / duration_s, label)
            received = machine.received_bytes / duration_s
            self._sample(now_s, "node_received_bytes_per_s", received, label)
        for kind, count in sorted(self.network.sent_by_kind.items()):
            self._sample(now_s, "messages", count, kind)

    def _sample_buckets(self, now_s: float) -> None:
        up = self.population.up()
        fills: dict[int, int] = {}
        for member in up:
            assert member.node is not None, "it is up"
            for index, size in enumerate(member.node.dht.table().sizes()):
                fills[index] = fills.get(index, 0) + size
        for index, total in sorted(fills.items()):
            self._sample(now_s, "bucket_fill", total / len(up), str(index))

    def _sample(self, now_s: float, metric: str, value: float, label: str = "") -> None:
        if self.results is not None:
            self.results.sample(now_s, metric, value, label)

    def _record(self, row: OperationRow) -> None:
        self._rows.append(row)
        self._write(row)

    def _write(self, row: OperationRow) -> None:
        if self.results is not None:
            self.results.operation(row)

    # --- checking ---------------------------------------------------------------------------

    async def _checking(self) -> None:
        many = self.scenario.run.nodes > _MANY_NODES
        checks = _CHECKS_OF_MANY if many else _CHECKS_PER_RUN
        while True:
            await asyncio.sleep(self.scenario.run.duration_s / checks)
            self._check()

    def _check(self) -> None:
        self._checks += 1
        known = {(violation.checker, violation.what) for violation in self.violations}
        self.violations += [
            violation
            for violation in check_all(self.view, self._own.checkers)
            if (violation.checker, violation.what) not in known
        ]

    def _tell_unseen(self) -> None:
        self.loop.find_unseen()
        now_s = self.loop.time()
        self.violations += [
            Violation(now_s, "no_unseen_errors", repr(error)) for error in self.loop.unhandled
        ]

    def _cpu_s(self) -> float:
        return time.process_time() - self._cpu_before_s

    def _summary(self, *, interrupted: bool, failed: str) -> dict[str, Any]:
        messages = self.network.sent_datagrams
        return {
            "trace_sha256": self.trace.hexdigest(),
            "trace_entries": self.trace.entries,
            "interrupted": interrupted,
            "failed": failed,
            "nodes": self.scenario.run.nodes,
            "lives": self.population.lives,
            "virtual_s": self.loop.time(),
            "events": self.loop.fired,
            "messages": messages,
            "messages_by_kind": dict(sorted(self.network.sent_by_kind.items())),
            "k": K,
            "faults": len(self.faults),
            "violations": [f"{v.at_s:.3f} s {v.checker}: {v.what}" for v in self.violations],
            "looks_of_checkers": self._checks,
            "checkers": self._verdicts(),
            "operations": summarise(self._rows),
            "operations_cut_off": self._cut_off,
            "wall_s": self._wall_s,
            "messages_per_wall_s": messages / max(self._wall_s, 1e-9),
            "cpu_s": self._run_cpu_s,
            "cpu_us_per_message": 1e6 * self._run_cpu_s / max(messages, 1),
            "rss_bytes": _rss_bytes(),
            **self._cost_of_beginning,
            "python": sys.version.split()[0],
        }

    def _verdicts(self) -> dict[str, Any]:
        """Of each checker: what must hold, how often it did not, and what it cannot see."""
        return {
            checker.name: {
                "holds": " ".join((checker.__doc__ or "").split()),
                "does_not_check": checker.blind_to,
                "violations": sum(found.checker == checker.name for found in self.violations),
            }
            for checker in self._own.checkers
        }


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Nodes that died are cyclic garbage; but a search of millions of objects for it is dear."""
    before = gc.get_threshold()
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _rss_bytes() -> int:
    """The most there ever was."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# --- building -------------------------------------------------------------------------------


def _network(
    loop: VirtualLoop, trace: Trace, settings: NetworkSettings, seed: int, folder: Path
) -> SimNetwork:
    return SimNetwork(
        loop,
        random.Random(derived_seed(seed, "network")),
        _latency(settings, seed, folder),
        trace=trace,
    )


def _disturb(network: SimNetwork, settings: NetworkSettings) -> None:
    network.loss, network.jitter = settings.loss, settings.jitter
    network.duplicate, network.reorder = settings.duplicate, settings.reorder
    network.mtu_bytes = settings.mtu_bytes


def _latency(settings: NetworkSettings, seed: int, folder: Path) -> Latency:
    if settings.latency == "fixed":
        return FixedLatency(settings.fixed_s)
    if settings.latency == "uniform":
        return UniformLatency(seed, settings.low_s, settings.high_s)
    if settings.latency == "matrix":
        return MatrixLatency.load(folder / settings.matrix_file, seed, settings.matrix_unit)
    return CoordinateLatency(seed)


def _settings(scenario: Scenario, seed: int) -> Iterator[NodeSettings]:
    rng = random.Random(derived_seed(seed, "roles"))
    for _ in range(scenario.run.nodes):
        yield _some_settings(scenario.run, rng)


def _some_settings(run: RunSettings, rng: random.Random) -> NodeSettings:
    capacity = run.capacity_bytes if rng.random() < run.storage_share else 0
    return NodeSettings(capacity_bytes=capacity, owner_quota_bytes=capacity, replicas=run.replicas)


def _condition(
    network: SimNetwork, member: Member, settings: NetworkSettings, rng: random.Random
) -> None:
    """Bandwidths, NATs and slow links; members of a network that starts are never all hidden."""
    machine = network.machine(member.address)
    machine.up_bytes_per_s = settings.up_bytes_per_s
    machine.down_bytes_per_s = settings.down_bytes_per_s
    if rng.random() < settings.undiallable and member.number:
        machine.hide()
    if rng.random() < settings.slow:
        machine.slowness = settings.slow_factor
