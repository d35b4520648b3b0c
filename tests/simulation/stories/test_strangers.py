"""Nodes that announce copies which they do not have, and say yes when they are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from dhtstore.model.identity import dht_key, format_node
from dhtstore.model.receipt import Receipt
from dhtstore.node.checking.answer import CheckAnswers
from dhtstore.node.copies.acknowledge import SignedCopy
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.node.node import Node
from dhtstore.node.views.providers import providers
from dhtstore.wire.frames import Check, Checked
from simulations.events.users import put_bytes
from tests.simulation.harness import CLIENT, Lab, tell
from tests.simulation.stories.test_checking import CONTENT, listed, states, status


@pytest.fixture
def liars(monkeypatch: pytest.MonkeyPatch) -> list[Node]:
    """Those in this list say that they have whatever they are asked for."""
    found: list[Node] = []
    honest = CheckAnswers.on_check

    async def lie(self: CheckAnswers, link: Link, asked: Check, reply: Reply) -> None:
        if any(each.identity is self.identity for each in found):
            await reply(Checked(whole=True))
        else:
            await honest(self, link, asked, reply)

    monkeypatch.setattr(CheckAnswers, "on_check", lie)
    return found


async def put_and_lie(lab: Lab, liars: list[Node]) -> Sequence[Receipt]:
    """Three of six hold it, the other three announce it; two that hold it crash."""
    await lab.grow(6)
    putter = lab.nodes[0]
    result = await put_bytes(putter, CONTENT)
    holders = {each.node for each in result.receipts}
    assert putter.node_id in holders
    liars += [each for each in lab.nodes if each.node_id not in holders]
    [name] = {each.unit for each in result.receipts}
    for liar in liars:
        provider = liar.identity.provider_record(dht_key(name))
        copy = SignedCopy(result.receipts[0], provider, liar.identity.record())
        announced = [(copy.provider, copy.contact)]
        await liar.dht.provide(dht_key(name), announced, timeout_s=30.0)
    for each in list(lab.nodes):
        if each is not putter and each.node_id in holders:
            lab.crash(each)
    return result.receipts


def test_strangers_who_say_yes_are_no_copies_of_what_was_put_from_here(liars: list[Node]) -> None:
    async def story(lab: Lab) -> None:
        receipts = await put_and_lie(lab, liars)
        putter, root = lab.nodes[0], lab.nodes[0].ledger.puts.list()[0].cid
        names = sorted(format_node(each.node_id) for each in liars)
        plain = await status(putter, root)
        assert plain.copies == (await listed(putter)).copies == 3
        assert plain.units[0].announced == names
        assert {states(plain)[name] for name in names} == {"announced"}
        checked = await status(putter, root, check=True)
        assert checked.copies == (await listed(putter)).copies == 1 < checked.min_acks
        assert checked.units[0].announced == names
        assert {states(checked)[name] for name in names} == {"says so"}
        assert checked.units[0].providers == [format_node(putter.node_id)]
        async with putter.fetch_session() as session:
            rows = await providers(session, putter.checker(), root, (), check=True)
        assert {row.state for row in rows if row.node in names} == {"says so"}
        known = putter.ledger.receipts.proofs(root)
        assert {node for _, node in known} == {each.node for each in receipts}

    tell(story)


def test_a_yes_about_what_others_put_is_proved_by_a_block_picked_at_random(
    liars: list[Node],
) -> None:
    async def story(lab: Lab) -> None:
        await put_and_lie(lab, liars)
        putter, root = lab.nodes[0], lab.nodes[0].ledger.puts.list()[0].cid
        reader = await lab.add(CLIENT)
        plain = await status(reader, root)
        assert plain.copies == 0
        assert set(states(plain).values()) == {"announced"}
        checked = await status(reader, root, check=True)
        assert (checked.copies, checked.replicas) == (1, None)
        found = states(checked)
        assert found.pop(format_node(putter.node_id)) == "live"
        assert [found[format_node(each.node_id)] for each in liars] == ["lacks"] * 3
        async with reader.fetch_session() as session:
            rows = await providers(session, reader.checker(), root, (), check=True)
        assert [row.node for row in rows if row.state == "live"] == [format_node(putter.node_id)]

    tell(story)


def test_a_holder_that_nobody_announces_any_more_goes_from_list_as_from_status() -> None:
    """Nobody else is there who could take its copy."""

    async def story(lab: Lab) -> None:
        await lab.grow(3)
        putter = lab.nodes[0]
        result = await put_bytes(putter, CONTENT)
        holders = {each.node for each in result.receipts}
        lost = next(each for each in lab.nodes[1:] if each.node_id in holders)
        lab.crash(lost)
        await asyncio.sleep(3 * 86400.0)
        told = await status(putter, result.cid)
        assert states(told)[format_node(lost.node_id)] == "gone"
        assert told.copies == (await listed(putter)).copies == 2

    tell(story)
