"""Who says that it holds something, and never has time to prove it, is no copy for long."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from dhtstore.errors import PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.identity import dht_key
from dhtstore.node.checking.audit_answer import AuditAnswers
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.node.node import Node
from dhtstore.replication.audit_ration import AuditRation
from dhtstore.replication.auditing import Answer
from dhtstore.replication.health.periods import Periods
from dhtstore.wire.frames import Audit, Audited
from simulations.events.users import put_bytes
from tests.simulation.harness import CLIENT, STORAGE, Lab, tell

CONTENT = random.Random(8).randbytes(300_000)
PERIODS = Periods.within(7200.0)  # what takes a day takes an hour here


def holders(lab: Lab, root: Cid) -> list[Node]:
    now_s = lab.nodes[0].ports.clock.unix_s()
    return [node for node in lab.nodes if node.completeness.under(root.raw, now_s)]


def busy(node: Node) -> None:
    """It declines each audit from now on."""
    node.audits._ration.took("everybody", 10**18)


async def put(lab: Lab) -> tuple[Cid, list[Node], list[Node]]:
    """By a client; who holds it, and who does not."""
    client = await lab.add(replace(CLIENT, periods=PERIODS))
    for _ in range(6):
        await lab.add(replace(STORAGE, periods=PERIODS))
    root = (await put_bytes(client, CONTENT)).cid
    there = holders(lab, root)
    return root, there, [node for node in lab.nodes[1:] if node not in there]


def test_who_announces_what_it_does_not_hold_and_is_always_busy_keeps_nobody_from_repairing() -> (
    None
):
    async def story(lab: Lab) -> None:
        root, there, [liar, *_] = await put(lab)
        key = dht_key(root.raw)
        busy(liar)
        record = liar.identity.provider_record(key), liar.identity.record()
        await liar.dht.provide(key, [record], timeout_s=30.0)
        await asyncio.sleep(PERIODS.holders_look_s + 2 * PERIODS.ping_s)
        for node in there:
            row = node.ledger.holders.get((root.raw, False))
            assert liar.public_key in {each.key for each in row.holders}
        lab.crash(there[0])
        await asyncio.sleep(PERIODS.grace_max_s + 30 * PERIODS.ping_s)
        alive = [node for node in holders(lab, root) if node is not there[0]]
        assert len(alive) == 3
        for node in there[1:]:
            row = node.ledger.holders.get((root.raw, False))
            assert (
                "proves nothing" in {each.key: each for each in row.holders}[liar.public_key].lacks
            )

    tell(story)


def test_who_proves_no_block_stands_for_no_copy_that_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of small units audits mostly ask for no block at all: that anybody can answer."""
    liars: list[Node] = []
    honest = AuditAnswers.on_audit

    async def lie(self: AuditAnswers, link: Link, asked: Audit, reply: Reply) -> None:
        if not any(each.identity is self.identity for each in liars):
            await honest(self, link, asked, reply)
        elif any(each.samples for each in asked.units):
            raise PeerRefused("busy", "ask later")
        else:
            network, here = self.identity.network, self.identity.public_key
            names = [each.unit for each in asked.units]
            proofs = [Answer(network, asked.nonce, link.public_key, here, name) for name in names]
            await reply(Audited(proofs=tuple(each.proof for each in proofs)))

    monkeypatch.setattr(AuditAnswers, "on_audit", lie)

    async def story(lab: Lab) -> None:
        root, there, [liar, *_] = await put(lab)
        liars.append(liar)
        key = dht_key(root.raw)
        record = liar.identity.provider_record(key), liar.identity.record()
        await liar.dht.provide(key, [record], timeout_s=30.0)
        await asyncio.sleep(PERIODS.holders_look_s + 2 * PERIODS.ping_s)
        for node in there:
            rows = node.ledger.holders.get((root.raw, False)).holders
            [row] = [each for each in rows if each.key == liar.public_key]
            assert row.proven_unix_s
        lab.crash(there[0])
        await asyncio.sleep(PERIODS.grace_max_s + 10 * PERIODS.ping_s)
        assert len([node for node in holders(lab, root) if node is not there[0]]) == 3

    tell(story)


def test_who_proved_its_copy_may_be_busy_for_days_and_nothing_moves() -> None:
    async def story(lab: Lab) -> None:
        root, there, _ = await put(lab)
        await asyncio.sleep(4 * PERIODS.ping_s)
        busy(there[0])
        await asyncio.sleep(PERIODS.audit_every_s + 24 * PERIODS.ping_s)
        [*rows] = [node.ledger.holders.get((root.raw, False)) for node in there[1:]]
        key = there[0].public_key
        assert all(each.vain for row in rows for each in row.holders if each.key == key)
        assert holders(lab, root) == there
        there[0].audits._ration = AuditRation()
        await asyncio.sleep(3 * PERIODS.ping_s)
        [*rows] = [node.ledger.holders.get((root.raw, False)) for node in there[1:]]
        assert not any(each.vain for row in rows for each in row.holders)
        assert not any(node.ledger.events.last(9) for node in lab.nodes)

    tell(story)
