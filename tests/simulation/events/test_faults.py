"""Faults: pure schedules that survive JSON, and the parts that carry them out."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections import Counter

import pytest

from dhtstore.errors import BlockDamaged
from dhtstore.model.block import Block
from dhtstore.model.contact import Address
from dhtstore.store.blocks.memory import MemoryBlockStore
from simulations.events.await_counter import AwaitCounter
from simulations.events.datagram_dropper import DatagramDropper
from simulations.events.fault_injection import rot_one
from simulations.events.fault_schedule import EVERYBODY, Fault, FaultKind, halves, schedule
from simulations.scenario import from_tables
from simulations.sections.faults import FaultSettings
from simulations.world.loop.current_node import CURRENT_NODE
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.lying_store import LyingBlockStore

ALL = {
    "crashes_per_h": 1.0,
    "disk_full_per_h": 0.5,
    "slow_disk_per_h": 0.5,
    "bit_rot_per_h": 0.5,
    "lost_writes_per_h": 0.5,
    "sleeps_per_h": 0.5,
    "drops_per_h": 5.0,
    "partitions_per_h": 5.0,
    "lying": "10 %",
}


def settings(**values: object) -> FaultSettings:
    return from_tables({"faults": values or ALL}).faults


def test_a_schedule_is_pure_in_order_and_has_its_rates() -> None:
    found = schedule(settings(), 200, 4 * 3600, seed=1)
    assert found == schedule(settings(), 200, 4 * 3600, seed=1)
    assert found != schedule(settings(), 200, 4 * 3600, seed=2)
    assert [fault.at_s for fault in found] == sorted(fault.at_s for fault in found)
    counts = Counter(fault.kind for fault in found)
    assert set(counts) == set(FaultKind) - {FaultKind.OUTAGE}  # no failure domains here
    assert counts[FaultKind.CRASH] == pytest.approx(800, rel=0.15)
    assert counts[FaultKind.LIE] == pytest.approx(20, abs=14)
    network = {FaultKind.DROP, FaultKind.PARTITION}
    assert all((fault.node == EVERYBODY) == (fault.kind in network) for fault in found)


def test_no_rates_no_faults() -> None:
    assert schedule(settings(lying=0), 100, 1e6, seed=1) == []


def test_faults_survive_json() -> None:
    found = schedule(settings(), 20, 3600, seed=1)
    assert [Fault.of(v) for v in json.loads(json.dumps([f.plain() for f in found]))] == found


def test_halves_are_given_by_the_fault() -> None:
    addresses = [Address("10.0.0.1", port) for port in range(1, 101)]
    fault = Fault(0.0, FaultKind.PARTITION, EVERYBODY, 60.0, 5)
    one, other = halves(fault, addresses)
    assert [one, other] == halves(fault, addresses)
    assert sorted(one + other) == addresses
    assert len(one) > 20 < len(other)


def test_only_the_chosen_kind_is_dropped_and_overlaps_nest() -> None:
    a, b = Address("10.0.0.1", 1), Address("10.0.0.2", 1)
    drops = DatagramDropper(lambda data: data.decode())
    drops.begin("find")
    drops.begin("find")
    drops.end("find")
    assert drops(a, b, b"find")
    assert not drops(a, b, b"ping")
    drops.end("find")
    assert not drops(a, b, b"find")
    assert drops.count == 1


@pytest.mark.parametrize("awaits", [1, 3])
def test_a_crash_strikes_before_the_nth_step_of_its_node(awaits: int) -> None:
    loop, seen = VirtualLoop(), list[str]()
    counter = AwaitCounter(loop)

    async def work(node: int) -> None:
        CURRENT_NODE.set(node)
        await asyncio.sleep(1)
        for step in range(5):
            seen.append(f"{node}.{step}")
            await asyncio.sleep(0)

    async def main() -> None:
        tasks = [asyncio.create_task(work(node)) for node in (1, 2)]
        await asyncio.sleep(0.5)
        counter.arm(1, awaits, lambda: seen.append("crash"))
        await asyncio.gather(*tasks)

    run(main(), loop)
    before = [entry for entry in seen[: seen.index("crash")] if entry.startswith("1.")]
    assert len(before) == awaits - 1
    assert loop.on_step is None
    assert "2.4" in seen


def test_tasks_know_the_node_that_started_them() -> None:
    loop = VirtualLoop()

    async def child() -> None:
        await asyncio.sleep(5)

    async def node() -> None:
        await asyncio.create_task(child(), name="child")

    async def main() -> None:
        context = contextvars.copy_context()
        context.run(CURRENT_NODE.set, 7)
        task = loop.create_task(node(), name="node", context=context)
        await asyncio.sleep(1)
        assert [t.get_name() for t in loop.tasks_of(7)] == ["node", "child"]
        await task
        assert loop.tasks_of(7) == []

    run(main(), loop)


def test_a_liar_serves_other_bytes_and_reads_its_own_right() -> None:
    store = LyingBlockStore(MemoryBlockStore())
    block = Block.of(b"truth")
    with store.batch() as batch:
        batch.put(block.cid, block.data)
        batch.commit()
    assert store.read(block.cid) == b"truth"
    store.lying = True
    assert store.read(block.cid) != b"truth"
    assert len(store.read(block.cid)) == 5
    assert store.get(block.cid) == b"truth"


def test_bit_rot_strikes_a_block_that_is_there() -> None:
    store = LyingBlockStore(MemoryBlockStore())
    assert rot_one(store, 5) is None
    blocks = [Block.of(bytes([n]) * 10) for n in range(3)]
    with store.batch() as batch:
        for block in blocks:
            batch.put(block.cid, block.data)
        batch.commit()
    cid = rot_one(store, 4)
    assert cid is not None
    with pytest.raises(BlockDamaged):
        store.get(cid)
