"""Copies as they are: remembered ones, and those that holders say they have now."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Sequence
from functools import partial

import pytest

from dhtstore.errors import NotFound, PeerRefused, QuorumNotReached
from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node
from dhtstore.node.checking import answer
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.node.node import Node
from dhtstore.node.views.copies.list_puts import PutChecks, put_summaries
from dhtstore.node.views.copies.root_status import root_status
from dhtstore.node.views.copies.safety import Safety, safety_known
from dhtstore.node.views.providers import providers
from dhtstore.operations.keeping import PutSummary
from dhtstore.operations.nodes import RootStatus
from dhtstore.params import CHECK_TIMEOUT_S, MIB, REREAD_AT_ONCE_BYTES, REREAD_BLOCK_BYTES
from dhtstore.wire.frames import Check, Checked, FrameResponse
from simulations.events.users import put_bytes
from tests.simulation.harness import CLIENT, Lab, put_with, tell

CONTENT = bytes(range(256)) * 8192 + b"the end"


async def status(node: Node, root: Cid, *, check: bool = False) -> RootStatus:
    async with node.fetch_session() as session:
        return await root_status(session, node.checker(), root, None, check=check)


async def known(node: Node) -> Safety:
    return await safety_known(node.disk, node.ledger, node.ports.clock.unix_s())


async def listed(node: Node) -> PutSummary:
    found: list[PutSummary] = []

    async def take(rows: Sequence[PutSummary]) -> None:
        found.extend(rows)

    await put_summaries(node.disk, node.ledger, take, await known(node))
    [row] = found
    return row


def states(told: RootStatus) -> dict[str, str]:
    [unit] = told.units
    return {holder.node: holder.state for holder in unit.holders}


def other_holder(lab: Lab, root: Cid) -> Node:
    """A holder that is not the first node, which put it."""
    owner = lab.nodes[0].identity.owner
    return next(each for each in lab.nodes[1:] if each.ledger.claims.policy(owner, root.raw))


def test_a_dead_holder_is_remembered_until_it_is_asked_and_not_counted_after_that() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        putter = lab.nodes[0]
        result = await put_bytes(putter, CONTENT)
        dead = other_holder(lab, result.cid)
        lab.crash(dead)
        plain = await status(putter, result.cid)
        assert (plain.copies, plain.checked) == (3, False)
        assert states(plain)[format_node(dead.node_id)] == "believed"
        assert states(plain)[format_node(putter.node_id)] == "live"  # it looks for itself
        checked = await status(putter, result.cid, check=True)
        assert (checked.copies, checked.min_acks, checked.checked) == (2, 2, True)
        assert states(checked)[format_node(dead.node_id)] == "silent"
        assert sorted(states(checked).values()) == ["live", "live", "silent"]
        assert (await listed(putter)).copies == 2
        later = await status(putter, result.cid)
        assert later.copies == 2
        assert states(later)[format_node(dead.node_id)] == "silent"

    tell(story)


def test_after_putting_again_there_are_no_more_copies_than_wanted() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(5)
        putter = lab.nodes[0]
        result = await put_bytes(putter, CONTENT)
        lab.crash(other_holder(lab, result.cid))
        again = await put_with(putter, CONTENT)
        assert again.copies == 3
        assert len({r.node for r in putter.ledger.receipts.for_root(result.cid)}) == 4
        row = await listed(putter)
        assert (row.copies, row.replicas) == (3, 3)
        assert (await status(putter, result.cid)).copies == 3
        assert (await status(putter, result.cid, check=True)).copies == 3

    tell(story)


def test_a_holder_that_lost_a_block_says_so_and_one_that_has_all_is_proved_anew() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        putter = lab.nodes[0]
        result = await put_bytes(putter, CONTENT)
        loser = other_holder(lab, result.cid)
        signed_unix_s = result.receipts[0].time
        await asyncio.sleep(1000.0)
        loser.ports.store.delete([Cid.of(CONTENT[:MIB])])
        checked = await status(putter, result.cid, check=True)
        assert checked.copies == 2
        [unit] = checked.units
        lost = next(each for each in unit.holders if each.node == format_node(loser.node_id))
        assert lost.state == "lacks"
        assert lost.why
        row = await listed(putter)
        assert row.copies == 2
        assert row.proved is not None
        assert row.proved.unix_s >= signed_unix_s + 1000
        putter.ports.store.delete([Cid.of(CONTENT[:MIB])])
        assert (await status(putter, result.cid)).copies == 1  # its own copy is looked at
        assert (await listed(putter)).copies == 1

    tell(story)


def test_anybody_may_ask_who_of_the_providers_is_there() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        result = await put_bytes(lab.nodes[0], CONTENT)
        dead = other_holder(lab, result.cid)
        lab.crash(dead)
        reader = await lab.add(CLIENT)
        async with reader.fetch_session() as session:
            rows = await providers(session, reader.checker(), result.cid, (), check=True)
        found = {row.node: row.state for row in rows}
        assert found.pop(format_node(dead.node_id)) == "silent"
        assert set(found.values()) == {"live"}
        assert reader.ledger.receipts.proofs(result.cid) == {}

    tell(story)


def test_of_what_is_not_kept_nobody_learns_more_than_that() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        asker, holder = lab.nodes
        link = await asker.links.to(holder.public_key, list(holder.addresses()), 5.0)
        said = await link.request(Check(unit=Cid.of(b"nobody has it").raw), Checked)
        assert (said.whole, said.why) == (False, answer.NOT_KEPT)
        with pytest.raises(NotFound):
            async with asker.fetch_session() as session:
                await providers(session, asker.checker(), Cid.of(b"nobody has it"), (), check=True)

    tell(story)


def test_each_origin_has_a_ration_of_what_it_may_have_looked_at() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        putter, holder = lab.nodes
        result = await put_bytes(putter, CONTENT, replicas=2)
        link = await putter.links.to(holder.public_key, list(holder.addresses()), 5.0)
        name = result.receipts[0].unit
        greedy = answer.CheckAnswers(
            holder.identity, holder.completeness, holder.ports.clock, lambda link: True
        )
        said: list[FrameResponse] = []

        def reply(response: FrameResponse, *body: object, gone: object = None) -> Future[None]:
            said.append(response)
            return asyncio.get_running_loop().create_future()

        greedy._rations.take(link.origin, REREAD_AT_ONCE_BYTES, 0, lab.loop.time())
        with pytest.raises(PeerRefused, match="ask later"):
            await greedy.on_check(link, Check(unit=name), reply)
        assert said == []

    tell(story)


async def _answers(lab: Lab) -> tuple[answer.CheckAnswers, list[Link], bytes, Node]:
    """Of a holder of CONTENT, links that lead to two origins, and the name of the unit."""
    await lab.grow(3)
    putter, holder, third = lab.nodes
    result = await put_bytes(putter, CONTENT)
    links = [
        await putter.links.to(each.public_key, list(each.addresses()), 5.0)
        for each in (holder, third)
    ]
    links[1].origin = "192.0.2.0/24"  # machines of a Lab stand in one network
    clock = holder.ports.clock
    answers = answer.CheckAnswers(holder.identity, holder.completeness, clock, lambda link: True)
    return answers, links, result.receipts[0].unit, holder


def _replies(said: list[tuple[str, bool]], name: str) -> Reply:
    def reply(response: FrameResponse, *body: object, gone: object = None) -> Future[None]:
        assert isinstance(response, Checked)
        said.append((name, response.whole))
        done: Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    return reply


def test_a_look_that_finds_a_block_gone_is_charged_as_one_that_finds_all() -> None:
    async def story(lab: Lab) -> None:
        answers, [link, _], name, holder = await _answers(lab)
        said: list[tuple[str, bool]] = []
        charged: list[float] = []
        for _ in range(2):
            before_bytes = answers._rations._used.get(link.origin, (0.0, 0.0))[0]
            await answers.on_check(link, Check(unit=name), _replies(said, "any"))
            charged.append(answers._rations._used[link.origin][0] - before_bytes)
            holder.ports.store.delete([Cid.of(CONTENT[2 * MIB :])])
        assert said == [("any", True), ("any", False)]
        assert charged[1] >= charged[0] > 4 * REREAD_BLOCK_BYTES

    tell(story)


def test_who_asks_much_waits_for_itself_and_not_others_for_it() -> None:
    async def story(lab: Lab) -> None:
        answers, [greedy, honest], name, _ = await _answers(lab)
        said: list[tuple[str, bool]] = []
        asks = [
            answers.on_check(link, Check(unit=name), _replies(said, whose))
            for link, whose in [(greedy, "many")] * 8 + [(honest, "one")]
        ]
        async with answers._turns._looking:
            asked = asyncio.gather(*asks)
            await asyncio.sleep(1.0)
        await asked
        assert [whose for whose, _ in said].index("one") == 1
        assert len(said) == 9
        async with answers._turns._looking:
            with pytest.raises(PeerRefused, match="ask later"):
                await answers.on_check(honest, Check(unit=name), _replies(said, "late"))
        await answers.on_check(honest, Check(unit=name), _replies(said, "again"))
        assert said[-1] == ("again", True)

    tell(story)


def test_a_holder_that_takes_too_long_to_look_is_not_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        putter = lab.nodes[0]
        result = await put_bytes(putter, CONTENT)
        monkeypatch.setattr(answer, "CHECK_LOOK_S", -1.0)
        checked = await status(putter, result.cid, check=True)
        assert checked.copies == (await listed(putter)).copies == 3
        assert sorted(states(checked).values()) == ["believed", "believed", "live"]

    tell(story)


def test_all_puts_are_checked_and_a_silent_holder_is_waited_for_once() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        putter = lab.nodes[0]
        roots = [(await put_bytes(putter, CONTENT + bytes([n]))).cid for n in range(40)]
        lab.crash(other_holder(lab, roots[0]), silent=True)
        found: list[PutSummary] = []

        async def take(rows: Sequence[PutSummary]) -> None:
            found.extend(rows)

        loop = asyncio.get_running_loop()
        began_s = loop.time()
        async with putter.fetch_session() as session:
            await PutChecks(session, putter.checker(), None, partial(known, putter)).run(take)
        assert loop.time() - began_s < 2 * CHECK_TIMEOUT_S
        assert [row.cid for row in found] == [str(root) for root in roots]
        assert {row.copies for row in found} == {2, 3}

    tell(story)


def test_puts_that_have_too_few_copies_are_told_after_all_were_listed() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        putter = lab.nodes[0]
        await put_bytes(putter, CONTENT)
        for node in lab.nodes[1:]:
            lab.crash(node)
        found: list[PutSummary] = []

        async def take(rows: Sequence[PutSummary]) -> None:
            found.extend(rows)

        async with putter.fetch_session() as session:
            with pytest.raises(QuorumNotReached, match="1 put has fewer live copies"):
                await PutChecks(session, putter.checker(), None, partial(known, putter)).run(take)
        assert [row.copies for row in found] == [1]

    tell(story)
