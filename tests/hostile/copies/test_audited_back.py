"""Who asks is asked back: what that makes a node read is bounded by origin, too."""

from __future__ import annotations

import asyncio
import random

import pytest

from dhtstore.node.checking.audit_answer import AuditAnswers
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import MIB
from dhtstore.wire.frames import Audit, Audited, AuditItem
from simulations.events.users import put_bytes
from tests.simulation.harness import Lab, address_of, tell

CONTENT = random.Random(5).randbytes(2 * MIB)
ASKED = 40


def test_who_names_what_it_does_not_hold_makes_nobody_read_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A question for no block costs nothing, and the one that comes back takes a block of each."""
    monkeypatch.setattr("dhtstore.replication.audit_ration.AUDIT_READ_FREE_BYTES", MIB)
    honest, asked_back = AuditAnswers.on_audit, list[Audit]()

    async def noted(self: AuditAnswers, link: Link, asked: Audit, reply: Reply) -> None:
        asked_back.extend([asked] if any(each.samples for each in asked.units) else [])
        await honest(self, link, asked, reply)

    monkeypatch.setattr(AuditAnswers, "on_audit", noted)

    async def story(lab: Lab) -> None:
        await lab.grow(3)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        holder, stranger = lab.nodes[1], await lab.add()
        link = await stranger.links.to(holder.public_key, [address_of(holder)], 15)
        asked_back.clear()
        for number in range(ASKED):
            items = (AuditItem(root.raw, False, 0),)
            audit = Audit(nonce=bytes((number,)) * 32, units=items)
            await link.request(audit, Audited, 15)
            await asyncio.sleep(5)
        assert 1 <= len(asked_back) <= ASKED // 4

    tell(story)
