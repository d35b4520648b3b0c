"""What a scenario's own code may do to its world, with every checker looking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dhtstore.params import CLOCK_LOOK_S
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.scenario_module import Parts
from simulations.lab.one_run.world import World
from simulations.nodes.population import Member
from simulations.results.measure import Measure
from simulations.results.run_data import RunData
from simulations.scenario import from_tables

TABLES = {
    "run": {"nodes": 20, "duration_s": "10 min", "check_every": "40 s", "seed": 5},
    "workload": {"kind": "mix", "operations_per_s": 0.2, "objects": 20},
}
Drive = Callable[[World], Awaitable[None]]


def play(drive: Drive, *overrides: str, measures: tuple[Measure, ...] = ()) -> dict[str, Any]:
    """The summary of a run in which that happens; no checker finds anything."""

    async def driven(world: World, parameters: object, seed: int) -> None:
        await drive(world)
        done.append(True)

    done: list[bool] = []
    scenario = from_tables(TABLES, overrides)
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
            assert len(member.running.dht.contacts()) >= 19
        await world.until(599.0)
        for member in (newcomer, known):
            names = [one.running.dht.contacts() for one in world.population.up()]
            told = sum(member.running.public_key == c.public_key for n in names for c in n)
            assert told > 15, "others know it"

    assert play(drive, "churn.preset=custom", "churn.always_on=1")["lives"] == 22


def test_a_replaced_node_is_dead_for_good_and_a_new_one_takes_its_place() -> None:
    async def drive(world: World) -> None:
        await world.until(300.0)
        old = next(each for each in world.population.up() if _stored_bytes(each))
        new = await world.replace(old)
        assert new.ready
        assert new.address != old.address
        assert new.crypto.node.public_key != old.crypto.node.public_key
        assert old.node is None
        assert not await world.revive(old)
        await world.until(400.0)
        assert _stored_bytes(old) == 0

    play(drive, "churn.preset=custom", "churn.session_median_s=2 min", "churn.always_on=0.5")


def _stored_bytes(member: Member) -> int:
    return member.disk.blocks.space().packs_bytes


@pytest.mark.parametrize("forever", [True, False])
def test_a_share_dies_at_once(forever: bool) -> None:
    async def drive(world: World) -> None:
        await world.until(200.0)
        struck = world.kill(share=0.4, forever=forever)
        assert len(struck) == 8
        assert len(world.population.up()) == 12
        await world.until(400.0)
        back = [await world.revive(member) for member in struck]
        assert back == [not forever] * 8
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
        await asyncio.sleep(200.0)
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
        await world.until(100.0)
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


def test_own_samples_and_measures_stand_in_the_summary() -> None:
    def most(run: RunData) -> float:
        return max(sample.value for sample in run.metric("depth"))

    async def drive(world: World) -> None:
        for number in range(4):
            world.sample("depth", "left", number)
            await asyncio.sleep(1.0)

    measure = Measure("most", most, unit="m", better="less")
    found = play(drive, measures=(measure, Measure("none", lambda run: None)))["measures"]
    assert found == {
        "depth": {"unit": "", "better": "", "values": {"left": 1.5}},
        "most": {"unit": "m", "better": "less", "values": {"": 3.0}},
        "none": {"unit": "", "better": "", "values": {}},
    }
