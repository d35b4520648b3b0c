"""What a scenario's own code may do to its world, with every checker looking."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dhtstore.params import CLOCK_LOOK_S
from simulations.commands.common import exit_code
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.scenario_module import Parts
from simulations.lab.one_run.world import World
from simulations.nodes.population import Member
from simulations.results.measure import Measure, OwnSamples
from simulations.results.run_data import RunData, load
from simulations.results.run_folder import RunFolder
from simulations.scenario import from_tables

LOOK_S = 3480.0
SHORT = ("run.duration_s=10 s", "workload.kind=none")
TABLES: dict[str, Any] = {
    "run": {"nodes": 14, "duration_s": "5 min", "check_every": "40 s", "seed": 5},
    "workload": {"kind": "mix", "operations_per_s": 0.2, "objects": 10, "size_sigma": 0.0},
}
Drive = Callable[[World], Awaitable[None]]


def play(
    drive: Drive,
    *overrides: str,
    measures: tuple[Measure, ...] = (),
    tables: dict[str, Any] = TABLES,
) -> dict[str, Any]:
    """The summary of a run in which that happens; no checker finds anything."""

    async def driven(world: World, parameters: object, seed: int) -> None:
        await drive(world)
        done.append(True)

    done: list[bool] = []
    scenario = from_tables(tables, overrides)
    parts = Parts(drive=driven, measures=measures)
    summary = Experiment(scenario, scenario.run.seed, None, folder=Path(), parts=parts).run()
    assert summary["violations"] == []
    assert done
    return summary


def test_a_spawned_node_joins_serves_and_stays() -> None:
    async def drive(world: World) -> None:
        await world.until(60.0)
        newcomer = await world.spawn()
        known = await world.spawn(warm=True)
        for member in (newcomer, known):
            assert member.ready
            assert len(member.running.dht.contacts()) >= 13
        await world.until(200.0)
        for member in (newcomer, known):
            names = [one.running.dht.contacts() for one in world.population.up()]
            told = sum(member.running.public_key == c.public_key for n in names for c in n)
            assert told > 10, "others know it"

    assert play(drive, "churn.preset=custom", "churn.always_on=1")["lives"] == 16


def test_a_replaced_node_is_dead_for_good_and_a_new_one_takes_its_place() -> None:
    async def drive(world: World) -> None:
        await world.until(150.0)
        old = next(each for each in world.population.up() if _stored_bytes(each))
        new = await world.replace(old)
        assert new.ready
        assert new.address != old.address
        assert new.crypto.node.public_key != old.crypto.node.public_key
        assert old.node is None
        assert not await world.revive(old)
        await world.until(200.0)
        assert _stored_bytes(old) == 0

    play(drive, "churn.preset=custom", "churn.session_median_s=2 min", "churn.always_on=0.5")


def _stored_bytes(member: Member) -> int:
    return member.disk.blocks.space().packs_bytes


@pytest.mark.parametrize("forever", [True, False])
def test_a_share_dies_at_once(forever: bool) -> None:
    async def drive(world: World) -> None:
        await world.until(100.0)
        struck = world.kill(share=0.4, forever=forever)
        assert len(struck) == 6
        assert len(world.population.up()) == 8
        await world.until(200.0)
        back = [await world.revive(member) for member in struck]
        assert back == [not forever] * 6
        assert world.kill(world.population.members[:5], share=0.0) == []

    play(drive)


def test_a_node_sleeps_until_it_is_woken() -> None:
    async def drive(world: World) -> None:
        await world.until(100.0)
        one, other = world.population.members[3:5]
        assert world.sleep(one)
        assert world.sleep(other, 50.0)
        assert not world.sleep(one)
        await asyncio.sleep(1.0)
        sent = world.network.machine(one.address).sent_datagrams
        await asyncio.sleep(100.0)
        assert other.ready
        assert not one.ready
        assert world.network.machine(one.address).sent_datagrams == sent
        world.wake(one)
        await asyncio.sleep(60.0)
        assert one.ready
        assert one.asleep_s(world.loop.time()) == pytest.approx(101.0)
        assert world.network.machine(one.address).sent_datagrams > sent

    play(drive)


def test_a_clock_is_set_and_the_node_finds_out() -> None:
    async def drive(world: World) -> None:
        await world.until(100.0)
        member = world.population.members[3]
        monotonic_s, before_s = member.clock.monotonic_s(), member.clock.unix_s()
        world.set_clock(member, 86_400.0)
        assert member.clock.unix_s() - before_s == 86_400.0
        assert member.clock.monotonic_s() == monotonic_s
        told = list[float]()
        member.running.dht.time_jumped = lambda: told.append(world.loop.time())  # type: ignore[method-assign]
        await asyncio.sleep(CLOCK_LOOK_S + 1.0)
        assert len(told) == 1
        world.set_clock(member, 0.0)

    play(drive)


def test_a_way_is_blocked_in_one_direction() -> None:
    async def drive(world: World) -> None:
        await world.until(60.0)
        one, *others = world.population.members
        network = world.network
        world.block(one, others, streams=False)
        received = network.machine(others[0].address).received_bytes
        here, there = (network.machine(each.address) for each in (one, others[0]))
        assert not network.reachable(here, there)
        assert network.reachable(there, here)
        assert network.reachable_by_stream(here, there)
        await asyncio.sleep(100.0)
        assert network.machine(others[0].address).received_bytes > received
        world.unblock(one, others, streams=False)
        assert network.reachable(here, there)

    play(drive)


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (lambda world, one: world.kill(one.number), "not all machines"),
        (lambda world, one: world.block(one, [1, 2]), "not all machines"),
        (lambda world, one: world.sleep(one.number), "0 is no machine, as"),
        (lambda world, one: world.wake([one]), "is no machine, as"),
        (lambda world, one: world.set_clock(one.number, 5.0), "0 is no machine, as"),
        (lambda world, one: world.machines(group="homes"), "of group 'homes'; there are none"),
        (lambda world, one: world.kill(one, region="europe"), "either members, or"),
        (lambda world, one: world.sleep(one, -5.0), "no time to sleep"),
        (lambda world, one: world.set_clock(one, math.nan), "no offset of a clock"),
    ],
)
def test_what_cannot_be_done_is_refused(
    mistake: Callable[[World, Member], object], told: str
) -> None:
    async def drive(world: World) -> None:
        with pytest.raises(ValueError, match=told):
            mistake(world, world.population.members[0])

    play(drive, *SHORT)


def test_own_samples_and_measures_stand_in_the_summary() -> None:
    def most(run: RunData) -> float:
        return max(sample.value for sample in run.metric("depth"))

    async def drive(world: World) -> None:
        for number in range(4):
            world.sample("depth", "left", number)
            await asyncio.sleep(1.0)

    measure = Measure("most", most, unit="m", better="less")
    measures = (measure, Measure("none", lambda run: None))
    found = play(drive, *SHORT, measures=measures)["measures"]
    assert found == {
        "depth": {"unit": "", "better": "", "values": {"left": 1.5}},
        "most": {"unit": "m", "better": "less", "values": {"": 3.0}},
        "none": {"unit": "", "better": "", "values": {}},
    }


def test_a_failure_domain_and_a_group_can_be_meant() -> None:
    async def drive(world: World) -> None:
        await world.until(60.0)
        homes = world.machines(group="homes")
        assert [one.number for one in homes] == list(range(8, 14))
        assert {one.domain for one in world.machines(domain="rack-1")} == {"rack-1"}
        struck = world.kill(domain="rack-1", forever=True)
        assert [one.domain for one in struck] == ["rack-1"] * 4
        newcomer = await world.replace(world.machines(domain="rack-2")[0])
        assert (newcomer.group, newcomer.domain) == ("servers", "rack-2")
        assert (await world.spawn("homes")).group == "homes"
        with pytest.raises(ValueError, match="no machine is of"):
            world.kill(region="atlantis")

    servers = {"name": "servers", "count": 8, "domain": "rack", "domains": 2}
    homes = {"name": "homes", "count": 6}
    tables = {**TABLES, "group": [servers, homes], "run": {**TABLES["run"], "nodes": 14}}
    play(drive, tables=tables)


def test_the_checkers_find_no_fault_with_what_was_done_for_days() -> None:
    """Records expire in a sleep, clocks are months off, ways are blocked, a third dies; each is
    something that the checkers would complain of if nobody had done it."""

    async def drive(world: World) -> None:
        await world.until(3 * 3600.0)
        one, other, third, fourth, *rest = world.population.members
        world.sleep(one)
        world.set_clock(other, 86_400.0 * 90)
        world.set_clock(third, -86_400.0 * 90)
        world.block(fourth, rest, streams=False)
        await world.until(55 * LOOK_S - 10.0)  # just before a look
        world.wake(one)
        world.set_clock(other, 0.0)
        world.unblock(fourth, rest, streams=False)
        world.kill(rest, share=0.3, forever=True)
        await world.until(56 * 3600.0)
        world.set_clock(third, 0.0)

    few = ["run.nodes=9", "run.duration_s=60 h", f"run.check_every={LOOK_S} s"]
    play(drive, *few, "workload.operations_per_s=0.001")


@pytest.mark.parametrize("name", ["nodes_up", "violations", "../up", ""])
def test_names_that_are_taken_or_none_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Measure(name, lambda run: 0.0)
    with pytest.raises(ValueError, match="name"):
        OwnSamples().add(name, "", 1.0)


def test_what_is_no_number_is_no_sample_and_many_labels_are_told_as_one() -> None:
    samples = OwnSamples()
    with pytest.raises(ValueError, match="no number"):
        samples.add("depth", "", math.nan)
    for number in range(100):
        samples.add("depth", str(number), number)
    assert samples.measures()["depth"]["values"] == {"": 49.5}


def test_a_measure_that_fails_fails_the_run_which_is_told_all_the_same() -> None:
    def broken(run: RunData) -> float:
        return len(run.samples) / 0

    async def drive(world: World) -> None:
        world.sample("depth", "", 1.0)

    measures = (Measure("broken", broken), Measure("depth", lambda run: 1.0))
    found = play(drive, *SHORT, measures=measures[:1])
    assert found["failed"].endswith("in broken: ZeroDivisionError: division by zero")
    assert list(found["measures"]) == ["depth"]
    assert "has that name" in play(drive, *SHORT, measures=measures[1:])["failed"]
    assert exit_code({**found, "service": {"violated": []}}) == 1


def test_samples_and_looks_come_as_often_as_is_asked_for(tmp_path: Path) -> None:
    scenario = from_tables(TABLES, ["run.nodes=3", "run.sample_every=7 s"])
    with RunFolder(tmp_path, scenario, 1) as folder:
        looks = Experiment(scenario, 1, folder, folder=Path()).run()["looks_of_checkers"]
    times_s = [sample.time_s for sample in load(tmp_path).metric("nodes_up")]
    assert len(times_s) == 42
    assert times_s[1] - times_s[0] == pytest.approx(7.0)
    assert looks > (300 + 60) / 40
