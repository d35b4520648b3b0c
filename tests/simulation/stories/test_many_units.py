"""A holder of more units than it looks up in a round."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from dhtstore.node.duties.repairing import survey
from dhtstore.node.duties.repairing.watching import Judge
from simulations.events.users import put_bytes
from tests.simulation.harness import Lab, tell
from tests.simulation.stories.test_repair import CONTENT, NODE


def test_the_last_of_them_are_looked_up_where_the_first_are_due_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(survey, "HOLDERS_LOOKUPS_MAX", 64)
    monkeypatch.setattr(Judge, "look_due", lambda *given: True)

    async def story(lab: Lab) -> None:
        node = await lab.add(NODE)
        await lab.add(NODE)
        root = (await put_bytes(node, CONTENT, replicas=2)).cid
        [claim] = node.ledger.claims.for_unit(root.raw)
        for number in range(200):
            name = root.raw[:-2] + number.to_bytes(2, "big")
            node.ledger.claims.put(replace(claim, unit=name, unit_roots=(name,)))
        node.repair.budget.of_a_day = int
        for _ in range(8):
            await node.repair._round()
            await asyncio.sleep(1)
        rows = [row for _, row in node.ledger.holders.all()]
        assert len(rows) == 201
        assert all(row.looked_unix_s for row in rows)

    tell(story)
