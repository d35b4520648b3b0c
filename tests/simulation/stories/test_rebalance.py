"""A new empty disk among full ones gets its share, and never is there a copy too few."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import replace

from dhtstore.model.cid import Cid
from dhtstore.node.node import Node
from dhtstore.params import DAY_S, KIB, MIB
from dhtstore.replication.admission import Accept
from dhtstore.replication.repair.plan import Act
from dhtstore.store.ledger.health.events import EventRow
from simulations.events.users import put_bytes
from tests.simulation.harness import STORAGE, Lab, tell

DISK = replace(STORAGE, capacity_bytes=24 * MIB, accept=Accept.NETWORK)
BUDGET = replace(DISK, repair_budget_bytes=24 * MIB)
UNITS, UNIT_BYTES = 12, 900 * KIB


def copies(lab: Lab, roots: list[Cid]) -> list[int]:
    return [sum(node.ports.store.has(root) for node in lab.nodes) for root in roots]


def held(node: Node, roots: list[Cid]) -> int:
    return sum(node.ports.store.has(root) for root in roots)


def events(lab: Lab, kind: str) -> list[EventRow]:
    rows = [row for node in lab.nodes for row in node.ledger.events.last(1000)]
    return [row for row in rows if row.kind == kind]


async def put_many(lab: Lab) -> list[Cid]:
    """By a client, so that nobody must keep what it put."""
    client = await lab.add(replace(STORAGE, capacity_bytes=0))
    rng = random.Random(5)
    roots = [(await put_bytes(client, rng.randbytes(UNIT_BYTES))).cid for _ in range(UNITS)]
    await client.stop()
    lab.nodes.remove(client)
    return roots


async def watch(lab: Lab, roots: list[Cid], days: float) -> int:
    """The fewest copies that any had at any time."""
    fewest = 99
    for _ in range(int(days * 24 * 4)):
        await asyncio.sleep(900.0)
        fewest = min(fewest, *copies(lab, roots))
    return fewest


def test_a_new_empty_node_gets_its_share_and_copies_are_never_below_what_is_wanted() -> None:
    async def story(lab: Lab) -> None:
        for _ in range(4):
            await lab.add(BUDGET)
        roots = await put_many(lab)
        await asyncio.sleep(DAY_S / 4)
        new = await lab.add(BUDGET)
        assert await watch(lab, roots, 2) == 3
        share = 3 * UNITS / len(lab.nodes)
        assert share / 2 <= held(new, roots) <= share + 1
        moved, dropped = events(lab, "moved"), events(lab, "dropped")
        assert len(moved) == held(new, roots)
        assert {row.node for row in moved} == {new.node_id.hex()}
        first = min(moved, key=lambda row: row.unix_s).why
        assert re.search(r"is nearer to it and \d % full, this one \d\d % full", first)
        assert len(dropped) == len(moved)
        assert max(copies(lab, roots)) == 3
        before = [held(node, roots) for node in lab.nodes]
        assert await watch(lab, roots, 0.5) == 3
        assert [held(node, roots) for node in lab.nodes] == before

    tell(story)


def test_what_is_to_be_moved_is_told_and_without_budget_nothing_is() -> None:
    async def story(lab: Lab) -> None:
        for _ in range(4):
            await lab.add(replace(DISK, repair_budget_bytes=0))
        roots = await put_many(lab)
        await asyncio.sleep(DAY_S / 4)
        new = await lab.add(DISK)
        await asyncio.sleep(DAY_S / 2)
        assert held(new, roots) == 0
        told = [each for node in lab.nodes for each in await node.rebalance().planned()]
        assert {each.act for each in told} == {Act.MOVE}
        assert all(new.node_id.hex() in each.why for each in told)

    tell(story)
