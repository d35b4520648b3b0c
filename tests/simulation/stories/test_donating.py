"""Donated room: no put gets it, and what is short of copies comes there first."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from dhtstore.node.node import Node
from dhtstore.params import MIB
from dhtstore.replication.admission import Accept
from dhtstore.replication.health.periods import Periods
from simulations.events.users import put_bytes
from tests.simulation.harness import STORAGE, Lab, tell

PERIODS = Periods.within(7200.0)
DAY_S = 3600.0
DISK = replace(STORAGE, periods=PERIODS, accept=Accept.NETWORK, capacity_bytes=64 * MIB)
DONOR = replace(DISK, donate_bytes=64 * MIB)


def held(node: Node) -> int:
    return node.ledger.claims.count_kept(node.ports.clock.unix_s())


def test_a_donor_takes_no_puts_and_the_copies_that_others_lost() -> None:
    async def story(lab: Lab) -> None:
        for _ in range(6):
            await lab.add(DISK)
        donor = await lab.add(DONOR)
        putter = lab.nodes[0]
        rng, refused = random.Random(5), list[str]()
        for _ in range(6):
            result = await put_bytes(putter, rng.randbytes(200_000))
            refused += [each.why for each in result.reports if each.node == donor.node_id]
        assert held(donor) == 0
        assert any("is for what is short of copies" in why for why in refused)
        await asyncio.sleep(4 * DAY_S)
        lab.crash(max(lab.nodes[1:-1], key=held))
        await asyncio.sleep(2 * DAY_S)
        rows = [row for node in lab.nodes for row in node.ledger.events.last(100)]
        repaired = [row.node for row in rows if row.kind == "repaired"]
        assert repaired
        assert repaired.count(donor.node_id.hex()) == held(donor) == len(repaired)

    tell(story)
