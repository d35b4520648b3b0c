"""Are there as many copies as were asked for, and what does that cost?  An oracle counts copies "on
a disk that will return": of machines that are up, and of those that are down and will be back.

``policy`` "usual" is what nodes do; "at_once" repairs as soon as a holder is silent; with "none"
nobody repairs anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from dhtstore.errors import DhtstoreError
from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node, node_id
from dhtstore.node.ports import NodeSettings
from dhtstore.params import DAY_S
from dhtstore.replication.health.periods import USUAL_PERIODS
from dhtstore.store.ledger.health.events import Events
from dhtstore.tasks import Supervisor
from simulations.events.users import get_bytes, put_bytes
from simulations.lab.one_run.world import World
from simulations.nodes.insight import keeps_claim
from simulations.nodes.population import Member
from simulations.nodes.warm_start import start_known
from simulations.results.measure import Measure
from simulations.results.run_data import RunData
from simulations.settings import choice, duration, integer, share, size

_LOOK_S = 3600.0  # between two looks of the oracle, which looks at each death besides
_PUTS_S = 3600.0  # in which all objects are put


@dataclass(frozen=True, slots=True)
class Parameters:
    """``deaths_per_day`` is the share of machines that die for good with their disks.  At
    ``event_s`` all are started again within ten minutes, or three of ten are kept apart for
    ``apart_s``, and in the middle of that ``removed`` of the objects are removed by who put
    them."""

    policy: str = choice("usual", "at_once", "none")
    objects: int = integer(2000, 1, 100_000)
    size_bytes: int = size("16 KiB")
    replicas: int = integer(3, 1, 16)
    deaths_per_day: float = share("1 %")
    gets_every_s: float = duration("10 min", 1.0)
    event: str = choice("none", "restart", "partition")
    event_s: float = duration("12 h", 1.0)
    apart_s: float = duration("6 h", 1.0)
    removed: int = integer(0, 0, 10_000)


@dataclass(slots=True)
class _Oracle:
    """``roots`` are those of objects that were put, by ``putters``, and not ``removed``, of
    which some machines still have copies, and some have got one ``back`` since; ``taken`` is how
    many events of a machine were counted; of ``destroyed`` and ``repaired`` copies.  Of the
    holders whose copies were replaced some are ``dead``, and some were only ``away``.
    """

    world: World
    replicas: int
    roots: list[Cid] = field(default_factory=list)
    putters: dict[Cid, int] = field(default_factory=dict)
    removed: dict[Cid, set[int]] = field(default_factory=dict)
    back: int = 0
    taken: dict[int, int] = field(default_factory=dict)
    destroyed_bytes: int = 0
    repaired_bytes: int = 0
    repaired: int = 0
    dropped: int = 0
    dead: int = 0
    away: int = 0

    def disks(self) -> list[Member]:
        """Of machines that are not gone for good."""
        return [one for one in self.world.population.members if not one.gone]

    def copies(self) -> list[int]:
        holds = [one.disk.blocks.has for one in self.disks()]
        return [sum(has(root) for has in holds) for root in self.roots]

    def lives(self, root: Cid) -> bool:
        """Whether a machine that is up has it."""
        return any(one.disk.blocks.has(root) for one in self.world.population.up())

    def reachable(self) -> float:
        """The share of all objects that a machine which is up has."""
        holds = [one.disk.blocks.has for one in self.world.population.up()]
        return sum(any(has(root) for has in holds) for root in self.roots) / len(self.roots)

    def death(self, member: Member, size_bytes: int) -> None:
        self.count(member)
        lost = sum(member.disk.blocks.has(root) for root in self.roots)
        self.destroyed_bytes += lost * size_bytes
        self.world.kill(member, forever=True)
        self.look()

    def count(self, member: Member) -> None:
        """What that machine wrote down since it was asked last."""
        rows = Events(member.disk.tables).last(10_000)
        before = self.taken.get(member.number, 0)
        gone = {_name(one) for one in self.world.population.members if one.gone}
        for row in rows[before:]:
            self.dead += row.kind == "lost" and row.node in gone
            self.away += row.kind == "lost" and row.node not in gone
            repaired_bytes = row.size_bytes * (row.kind == "repaired")
            self.repaired_bytes += repaired_bytes
            self.world.users.journal.wanted_bytes += repaired_bytes
            self.repaired += row.kind == "repaired"
            self.dropped += row.kind == "dropped"
        self.taken[member.number] = len(rows)

    def holders(self, root: Cid) -> set[int]:
        """Whose disks have it to keep it."""
        return {one.number for one in self.disks() if keeps_claim(one, root)}

    def look(self) -> None:
        for member in self.disks():
            self.count(member)
        for root, before in self.removed.items():
            self.removed[root] = now = self.holders(root)
            self.back += len(now - before)
        copies, sample = self.copies(), self.world.sample
        sample("copies_min", "", min(copies))
        sample("lost", "", sum(count == 0 for count in copies))
        sample("at_target", "", sum(each >= self.replicas for each in copies) / len(copies))
        sample("copies_mean", "", sum(copies) / len(copies))
        sample("reachable", "", self.reachable())
        sample("repaired_bytes", "", self.repaired_bytes)
        sample("destroyed_bytes", "", self.destroyed_bytes)
        sample("dropped", "", self.dropped)
        sample("removed_held", "", sum(map(len, self.removed.values())))
        sample("removed_back", "", self.back)
        sample("replaced_dead", "", self.dead)
        sample("replaced_away", "", self.away)
        sample("repairs", "", self.repaired)
        sample("repaired_copies", "", self.repaired / len(copies))


def _name(member: Member) -> str:
    return format_node(node_id(member.crypto.node.public_key))


async def drive(world: World, parameters: Parameters, seed: int) -> None:
    """Puts for an hour, of nodes that have known each other for the ``burn_in``; then deaths, gets
    and looks until the run ends."""
    rng, tasks = random.Random(seed), Supervisor()
    await _choose(world, parameters.policy)
    await world.until(world.scenario.run.burn_in)
    oracle = _Oracle(world, parameters.replicas)
    await _put_all(oracle, parameters, rng)
    tasks.spawn(_deaths(oracle, parameters, random.Random(seed + 1)), "deaths")
    tasks.spawn(_gets(oracle, parameters, random.Random(seed + 2)), "gets")
    tasks.spawn(_event(oracle, parameters, random.Random(seed + 3), tasks), "event")
    while True:
        await asyncio.sleep(_LOOK_S)
        oracle.look()


async def _choose(world: World, policy: str) -> None:
    """Let nodes start again with other settings, unless they have them."""
    if policy == "usual":
        return
    for member in world.population.members:
        member.settings = _settings(member.settings, policy)
        if member.node is not None:
            world.population.crash(member.number)
            await start_known(world.population, member.number)


def _settings(settings: NodeSettings, policy: str) -> NodeSettings:
    if policy == "none":
        return replace(settings, repair_budget_bytes=0)
    grace = dict.fromkeys(("grace_min_s", "grace_first_s", "grace_max_s"), 1.0)
    return replace(settings, periods=replace(USUAL_PERIODS, **grace))


async def _put_all(oracle: _Oracle, parameters: Parameters, rng: random.Random) -> None:
    """One after the other, at nodes that are up; what fails is put again."""
    world, pause_s = oracle.world, _PUTS_S / parameters.objects
    while len(oracle.roots) < parameters.objects:
        data = rng.randbytes(parameters.size_bytes)
        member = rng.choice([one for one in world.population.up() if one.ready])
        put = put_bytes(member.running, data, replicas=parameters.replicas)
        try:
            result = await world.population.run(member.number, put)
        except DhtstoreError:
            continue
        if result.copies >= parameters.replicas:
            oracle.roots.append(result.cid)
            oracle.putters[result.cid] = member.number
            wanted_bytes = parameters.size_bytes * parameters.replicas
            world.users.journal.wanted_bytes += wanted_bytes
        await asyncio.sleep(pause_s / 2)


async def _event(
    oracle: _Oracle, parameters: Parameters, rng: random.Random, tasks: Supervisor
) -> None:
    world = oracle.world
    await world.until(parameters.event_s)
    if parameters.event == "restart":
        for member in world.population.up():
            tasks.spawn(_restart(world, member, rng.uniform(0, 600)), "restart")
    elif parameters.event == "partition":
        machines = world.machines()
        apart = rng.sample(machines, round(0.3 * len(machines)))
        rest = [one for one in machines if one not in apart]
        for sources, targets in ((apart, rest), (rest, apart)):
            world.block(sources, targets)
        await asyncio.sleep(parameters.apart_s / 2)
        for root in rng.sample(oracle.roots, parameters.removed):
            await _remove(oracle, root)
        await asyncio.sleep(parameters.apart_s / 2)
        for sources, targets in ((apart, rest), (rest, apart)):
            world.unblock(sources, targets)


async def _remove(oracle: _Oracle, root: Cid) -> None:
    """By who put it, if that machine is up, and from its own side of the partition."""
    population, number = oracle.world.population, oracle.putters[root]
    node = population.members[number].node
    if node is None:
        return

    async def work() -> None:
        async with node.fetch_session() as session:
            await node.removing_everywhere().remove(session, root)

    with contextlib.suppress(DhtstoreError):
        await population.run(number, work())
        oracle.roots.remove(root)
        oracle.removed[root] = oracle.holders(root)


async def _restart(world: World, member: Member, after_s: float) -> None:
    await asyncio.sleep(after_s)
    world.kill(member)
    await asyncio.sleep(60)
    await world.revive(member)


async def _deaths(oracle: _Oracle, parameters: Parameters, rng: random.Random) -> None:
    while parameters.deaths_per_day:
        a_day = parameters.deaths_per_day * len(oracle.disks())
        await asyncio.sleep(rng.expovariate(a_day / DAY_S))
        oracle.death(rng.choice(oracle.disks()), parameters.size_bytes)


async def _gets(oracle: _Oracle, parameters: Parameters, rng: random.Random) -> None:
    world = oracle.world
    while True:
        await asyncio.sleep(parameters.gets_every_s)
        ready = [one for one in world.population.up() if one.ready]
        member, root = rng.choice(ready), rng.choice(oracle.roots)
        work = get_bytes(member.running, root)
        world.users.journal.wanted_bytes += parameters.size_bytes
        try:
            async with asyncio.timeout(120):
                await world.population.run(member.number, work)
        except (DhtstoreError, TimeoutError):
            if member.ready:  # else who asked went meanwhile
                world.sample("got", "", 0.0)
                world.sample("got_in_vain_from_live", "", float(oracle.lives(root)))
        else:
            world.sample("got", "", 1.0)


def _last(metric: str, run: RunData) -> float | None:
    values = [sample.value for sample in run.metric(metric)]
    return values[-1] if values else None


def _of_all(take: Callable[[list[float]], float], metric: str, run: RunData) -> float | None:
    values = [sample.value for sample in run.metric(metric)]
    return take(values) if values else None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _traffic(run: RunData) -> float | None:
    destroyed = _last("destroyed_bytes", run)
    return (_last("repaired_bytes", run) or 0.0) / destroyed if destroyed else None


def _stored_share(run: RunData) -> float | None:
    """Of all that is stored, by all copies that there are at the end."""
    copies, repaired = _last("copies_mean", run), _last("repaired_copies", run)
    return None if not copies or repaired is None else repaired / copies


MEASURES = (
    Measure("lost_ever", partial(_of_all, max, "lost"), better="less"),
    Measure("copies_min_ever", partial(_of_all, min, "copies_min"), better="more"),
    Measure("at_target_at_the_end", partial(_last, "at_target"), better="more"),
    Measure("at_target_mean", partial(_of_all, _mean, "at_target"), better="more"),
    Measure("repaired_per_destroyed", _traffic, better="less"),
    Measure("repaired_per_stored", _stored_share, better="less"),
    Measure("copies_mean_at_the_end", partial(_last, "copies_mean"), better="less"),
    Measure("got_share", partial(_of_all, _mean, "got"), better="more"),
    Measure("reachable_mean", partial(_of_all, _mean, "reachable"), better="more"),
    Measure(
        "got_in_vain_though_one_was_up",
        partial(_of_all, sum, "got_in_vain_from_live"),
        better="less",
    ),
    Measure("removed_copies_that_came_back", partial(_last, "removed_back"), better="less"),
    Measure("removed_copies_at_the_end", partial(_last, "removed_held"), better="less"),
    Measure("dropped_copies", partial(_last, "dropped")),
    Measure("repairs_in_all", partial(_last, "repairs")),
    Measure("replaced_of_dead", partial(_last, "replaced_dead")),
    Measure("replaced_of_away", partial(_last, "replaced_away")),
)
