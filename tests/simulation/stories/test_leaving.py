"""A node leaves: what it holds goes to others first, and no copy is missing at any moment."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from dhtstore.dht.engine.lookups import Lookups
from dhtstore.errors import Interrupted, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.identity import dht_key, distance
from dhtstore.model.unit import Unit
from dhtstore.node.copies.acknowledge import SignedCopy, acknowledge
from dhtstore.node.identity import Identity
from dhtstore.node.keeping.withdrawals import KeptNoMore
from dhtstore.node.node import Node
from dhtstore.operations.operation import Progress, unwatched
from dhtstore.replication.audit_ration import AuditRation
from dhtstore.replication.health.periods import Periods
from dhtstore.replication.repair.plan import Act
from simulations.events.users import put_bytes
from simulations.world.ports.clock import SimClock
from tests.bids import sign_policy
from tests.simulation.harness import CLIENT, STORAGE, Lab, pin, tell, ticket_of

CONTENT = random.Random(5).randbytes(300_000)
PERIODS = Periods.within(7200.0)  # what takes a day takes an hour here


def holders(lab: Lab, root: Cid) -> list[Node]:
    now_s = lab.nodes[0].ports.clock.unix_s()
    return [node for node in lab.nodes if node.completeness.under(root.raw, now_s)]


async def fewest(lab: Lab, root: Cid, work: asyncio.Task[object]) -> int:
    """The fewest copies that there were on disks while ``work`` went on."""
    least = len(holders(lab, root))
    while not work.done():
        await asyncio.sleep(0.01)
        least = min(least, len(holders(lab, root)))
    return least


def lookups(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bytes]]:
    """Who looks for the closest to what, as it comes."""
    begun, start = list[tuple[bytes, bytes]](), Lookups._start

    def counted(self: Lookups, target: bytes, kind: object, also: object = ()) -> object:
        begun.append((self._table.node.id, target))
        return start(self, target, kind, also)  # type: ignore[arg-type]

    monkeypatch.setattr(Lookups, "_start", counted)
    return begun


async def providers(node: Node, root: Cid) -> set[bytes]:
    found = await node.dht.find_providers(dht_key(root.raw), wanted=10, timeout_s=30.0)
    return {each.record.signer for each in found.providers}


def test_a_copy_goes_to_another_before_its_holder_leaves() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(7)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        await asyncio.sleep(60)
        leaver = holders(lab, root)[1]
        work = asyncio.create_task(leaver.leaving.leave(unwatched))
        assert await fewest(lab, root, work) == 3
        assert [each.act for each in work.result()] == [Act.DROP]
        assert leaver.leaving.left.done()
        there = holders(lab, root)
        assert len(there) == 3
        assert leaver not in there
        said = await providers(lab.nodes[0], root)
        assert leaver.public_key not in said
        assert {node.public_key for node in there} <= said

    tell(story)


@pytest.mark.parametrize(("nodes", "leavers", "left"), [(7, 2, True), (4, 3, False)])
def test_holders_that_leave_at_the_same_moment_count_on_none_of_each_other(
    nodes: int, leavers: int, left: bool
) -> None:
    """All three stay where there is but one other, whoever of them asks it first."""

    async def story(lab: Lab) -> None:
        await lab.grow(nodes)
        client = await lab.add(CLIENT)
        root = (await put_bytes(client, CONTENT)).cid
        await asyncio.sleep(60)
        leaving = [node.leaving for node in holders(lab, root)[:leavers]]

        async def all_leave() -> None:
            await asyncio.gather(*(each.leave(unwatched) for each in leaving))

        assert await fewest(lab, root, asyncio.create_task(all_leave())) == 3
        assert [each.left.done() for each in leaving] == [left] * leavers
        assert len(holders(lab, root)) == (3 if left else 4)

    tell(story)


def test_the_closest_to_a_unit_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For who holds it, where copies go, whom to tell of them and of the end of the one here."""
    begun = lookups(monkeypatch)

    async def story(lab: Lab) -> None:
        await lab.grow(7)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        await asyncio.sleep(120)
        leaver = holders(lab, root)[1]
        begun.clear()
        [done] = await leaver.leaving.leave(unwatched)
        assert done.made == 1
        assert begun.count((leaver.node_id, dht_key(root.raw))) == 1

    tell(story)


def test_what_the_own_user_put_is_brought_to_others_and_stays_on_this_disk() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(7)
        leaver = lab.nodes[0]
        root = (await put_bytes(leaver, CONTENT)).cid
        await leaver.leaving.leave(unwatched)
        assert leaver.leaving.left.done()
        there = holders(lab, root)
        assert len(there) == 4
        assert leaver in there
        assert leaver.public_key not in await providers(lab.nodes[1], root)

    tell(story)


def test_where_nobody_takes_it_the_node_stays_and_says_why_until_it_is_cancelled() -> None:
    """Three nodes, three copies wanted; a restart makes no difference."""

    async def story(lab: Lab) -> None:
        await lab.grow(3)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        leaver = lab.nodes[2]
        [done] = await leaver.leaving.leave(unwatched)
        assert done.act is Act.NOTHING
        assert "2 other copies are proved, 3 wanted; " in done.why
        assert not leaver.leaving.left.done()
        assert len(holders(lab, root)) == 3
        await leaver.stop()
        lab.nodes.remove(leaver)
        again = await lab.again(leaver)
        assert again.leaving.active
        assert any("this node is leaving" in text for text in again.warnings.texts)
        await again.leaving.cancel()
        assert not again.leaving.active
        assert again.warnings.texts == []

    tell(story)


def test_who_was_not_leaving_and_stays_announces_nothing_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = lookups(monkeypatch)

    async def story(lab: Lab) -> None:
        await lab.grow(3)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        stays = lab.nodes[1]
        announcing = stays.node_id, dht_key(root.raw)
        await asyncio.sleep(60)
        begun.clear()
        assert not await stays.leaving.cancel()
        await asyncio.sleep(60)
        assert announcing not in begun
        await stays.leaving.leave(unwatched)  # which nobody takes
        begun.clear()
        assert await stays.leaving.cancel()
        await asyncio.sleep(60)
        assert announcing in begun, "or else the above would say nothing"

    tell(story)


def test_who_waits_for_a_round_of_repair_before_it_leaves_takes_no_offers_meanwhile() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        leaver = lab.nodes[1]
        async with leaver.repair.alone():
            work = asyncio.create_task(leaver.leaving.leave(unwatched))
            await asyncio.sleep(1)
            outcome = await put_bytes(lab.nodes[0], CONTENT)
            assert not work.done()
        await work
        assert leaver.public_key not in {receipt.signer for receipt in outcome.receipts}

    tell(story)


def test_a_node_that_leaves_takes_no_offers() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        await put_bytes(lab.nodes[0], CONTENT)
        await lab.nodes[2].leaving.leave(unwatched)
        outcome = await put_bytes(lab.nodes[0], CONTENT[:-1])
        assert len({receipt.signer for receipt in outcome.receipts}) == 2

    tell(story)


def test_what_comes_in_while_a_node_leaves_is_handed_over_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of it has come before; a large one takes a while to be written."""
    nodes, coming = list[Node](), asyncio.Event()

    async def slow(identity: Identity, *given: Any) -> SignedCopy:
        if nodes and identity is nodes[1].identity and not coming.is_set():
            coming.set()
            await asyncio.sleep(5)
        return await acknowledge(identity, *given)

    monkeypatch.setattr("dhtstore.node.copies.hold.acknowledge", slow)

    async def story(lab: Lab) -> None:
        await lab.grow(3)
        client = await lab.add(CLIENT)
        nodes.extend(lab.nodes)
        put = asyncio.create_task(put_bytes(client, CONTENT))
        await coming.wait()
        await lab.add()
        [done] = await lab.nodes[1].leaving.leave(unwatched)
        assert (done.act, done.made) == (Act.DROP, 1)
        root = (await put).cid
        assert lab.nodes[1] not in holders(lab, root)
        assert len(holders(lab, root)) == 3

    tell(story)


def test_who_leaves_counts_its_own_copy_of_no_put() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(6)
        leaver = lab.nodes[3]
        work = asyncio.create_task(leaver.leaving.leave(unwatched))
        await asyncio.sleep(0.01)
        outcome = await put_bytes(leaver, CONTENT)
        await work
        assert outcome.copies == 3
        assert leaver.public_key not in {receipt.signer for receipt in outcome.receipts}
        there = holders(lab, outcome.cid)
        assert len(there) == 3
        assert leaver not in there
        assert leaver.ledger.puts.get(outcome.cid) is not None
        await leaver.collector.collect()
        assert leaver.ports.store.count() == 0

    tell(story)


def test_a_put_under_way_is_waited_for_before_the_node_ends() -> None:
    """It was cut short as soon as nothing else was left to be brought."""

    async def story(lab: Lab) -> None:
        await lab.grow(6)
        leaver, told = lab.nodes[3], list[Progress]()

        async def slowly() -> AsyncIterator[bytes]:
            yield CONTENT
            await asyncio.sleep(600)
            yield CONTENT

        put = asyncio.create_task(
            leaver.uploader().put(
                slowly(), name="slow", replicas=3, min_acks=None, progress=unwatched
            )
        )
        await asyncio.sleep(60)
        await leaver.leaving.leave(told.append)
        assert put.done()
        assert leaver.leaving.left.done()
        assert [each.phase for each in told] == ["waiting for a put"]
        assert put.result().copies == 3
        there = holders(lab, put.result().cid)
        assert len(there) == 3
        assert leaver not in there

    tell(story)


def test_who_holds_a_copy_and_goes_while_another_is_made_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It had proved its copy when the leave began."""
    dying = list[Node]()

    async def story(lab: Lab) -> None:
        async def slow(*given: Any) -> SignedCopy:
            for node in dying:
                lab.crash(node)
                lab.nodes.remove(node)
            dying.clear()
            return await acknowledge(*given)

        await lab.grow(7)
        client = await lab.add(CLIENT)
        root = (await put_bytes(client, CONTENT)).cid
        await asyncio.sleep(60)
        dead, leaver, _ = holders(lab, root)
        dying.append(dead)
        monkeypatch.setattr("dhtstore.node.copies.hold.acknowledge", slow)
        [done] = await leaver.leaving.leave(unwatched)
        assert (done.act, done.made) == (Act.DROP, 2)
        assert dead not in lab.nodes
        assert len(holders(lab, root)) == 3
        await dead.stop()

    tell(story)


def test_who_left_and_is_back_without_its_copies_takes_those_of_the_next_that_leaves() -> None:
    """Nobody else is there; the next one knows it for a holder that lacks its copy."""

    async def story(lab: Lab) -> None:
        await lab.grow(4)
        client = await lab.add(CLIENT)
        root = (await put_bytes(client, CONTENT)).cid
        await asyncio.sleep(60)
        stays, first, second = holders(lab, root)
        await second.repair.now()  # it has seen the copy of the first
        await first.leaving.leave(unwatched)
        assert first.leaving.left.done()
        await first.stop()
        lab.nodes.remove(first)
        back = await lab.again(first, seeds=[ticket_of(stays)])
        [done] = await second.leaving.leave(unwatched)
        assert (done.act, done.made) == (Act.DROP, 1), done.why
        assert second.leaving.left.done()
        there = holders(lab, root)
        assert {stays, back} < set(there)
        assert len(there) == 3

    tell(story)


def test_what_was_cut_short_is_gone_on_with() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(7)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        leaver = holders(lab, root)[1]
        work = asyncio.create_task(leaver.leaving.leave(unwatched))
        await asyncio.sleep(0.02)  # in virtual time: it is in the middle of it
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert leaver.leaving.active
        assert len(holders(lab, root)) == 3
        await leaver.leaving.leave(unwatched)
        assert leaver.leaving.left.done()
        assert leaver not in holders(lab, root)
        assert len(holders(lab, root)) == 3

    tell(story)


def test_who_is_killed_while_it_takes_its_record_back_does_so_when_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    withdraw, begun = KeptNoMore.withdraw, asyncio.Event()

    async def never(self: KeptNoMore, units: list[Unit], *, kept: bool = False) -> None:
        if begun.is_set():
            await withdraw(self, units, kept=kept)
        else:
            begun.set()
            await asyncio.sleep(1e6)

    async def story(lab: Lab) -> None:
        await lab.grow(7)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        leaver = holders(lab, root)[1]
        await asyncio.sleep(60)
        work = asyncio.create_task(leaver.leaving.leave(unwatched))
        await begun.wait()
        lab.crash(leaver)
        work.cancel()
        await leaver.stop()
        lab.nodes.remove(leaver)
        back = await lab.again(leaver)
        assert back.public_key in await providers(lab.nodes[0], root)
        await back.leaving.leave(unwatched)
        assert back.leaving.left.done()
        assert back.public_key not in await providers(lab.nodes[0], root)
        assert len(holders(lab, root)) == 3

    monkeypatch.setattr(KeptNoMore, "withdraw", never)
    tell(story)


def test_who_cancels_it_does_not_wait_for_its_end() -> None:
    """Nor for that of another `leave` that waits behind it; both are told."""

    async def story(lab: Lab) -> None:
        await lab.grow(7)
        roots = [(await put_bytes(lab.nodes[0], CONTENT[number:])).cid for number in range(20)]
        leaver = holders(lab, roots[0])[1]
        mine = [root for root in roots if leaver in holders(lab, root)]
        works = [asyncio.create_task(leaver.leaving.leave(unwatched)) for _ in range(2)]
        await asyncio.sleep(0.5)
        await leaver.leaving.cancel()
        assert not leaver.leaving.active
        for work in works:
            with pytest.raises(Interrupted, match="stays"):
                await work
        assert any(leaver in holders(lab, root) for root in mine), "it was in the middle of it"
        assert {len(holders(lab, root)) for root in roots} <= {3, 4}
        await leaver.leaving.leave(unwatched)
        assert leaver.leaving.left.done()
        with pytest.raises(UsageError, match="ends"):
            await leaver.leaving.cancel()

    tell(story)


async def surplus(lab: Lab) -> tuple[Cid, list[Node]]:
    """What a client put four times and three copies are wanted of now; its holders, the nearest
    first."""
    client = await lab.add(replace(CLIENT, periods=PERIODS))
    for _ in range(6):
        await lab.add(replace(STORAGE, periods=PERIODS))
    root = (await put_bytes(client, CONTENT, replicas=4)).cid
    await asyncio.sleep(PERIODS.watched_s)  # they are known for steady ones
    there = holders(lab, root)
    there.sort(key=lambda node: distance(node.node_id, dht_key(root.raw)))
    fewer = sign_policy(client.identity, root, replicas=3, sequence=2**42)
    assert [node.ledger.claims.update(fewer) for node in there] == [True] * 4
    return root, there


def test_nobody_drops_a_copy_on_the_proof_of_one_that_leaves() -> None:
    """Of four copies one is too many, and its holder finds three nearer ones: one of them is about
    to go, and finds three others."""

    async def story(lab: Lab) -> None:
        root, there = await surplus(lab)
        leaver = there[0]
        await leaver.disk.blocking.run(leaver.ledger.leaving.set)
        await leaver.leaving.begin()  # as after a restart, before `leave` goes on
        await asyncio.sleep(4 * PERIODS.trim_after_s)
        assert holders(lab, root) == [node for node in lab.nodes if node in there]
        await leaver.leaving.leave(unwatched)
        assert len(set(holders(lab, root)) - {leaver}) == 3

    tell(story)


def test_who_leaves_counts_on_no_proof_of_a_time_that_is_to_come() -> None:
    """Clocks were a day ahead when others proved their copies; one has lost its own since, and
    has no time to say so."""

    async def story(lab: Lab) -> None:
        client = await lab.add(replace(CLIENT, periods=PERIODS))
        clocks = [SimClock(lab.loop) for _ in range(7)]
        for clock in clocks:
            await lab.add(replace(STORAGE, periods=PERIODS), clock=clock)
        root = (await put_bytes(client, CONTENT)).cid
        leaver, poor, other = holders(lab, root)
        for clock in clocks:
            clock.set_wall(86_400.0)
        async with leaver.repair.alone():
            [one] = await leaver.repair.units.named([(root.raw, False)])
            await leaver.repair.asking.afresh(one)
            leaver.repair.units.rows.save({one.id: one.row})
        for clock in clocks:
            clock.set_wall(0.0)
        [lost] = poor.ledger.claims.for_unit(root.raw)
        poor.ledger.claims.end(lost)
        for node in (poor, other):
            node.audits._ration = AuditRation()
            node.audits._ration.took("everybody", 10**18)
        await leaver.leaving.leave(unwatched)
        assert len(set(holders(lab, root)) - {poor, leaver}) >= 3

    tell(story)


def test_a_surplus_copy_goes_where_nobody_leaves() -> None:
    """Or else the story before would say nothing."""

    async def story(lab: Lab) -> None:
        root, there = await surplus(lab)
        await asyncio.sleep(4 * PERIODS.trim_after_s)
        assert set(holders(lab, root)) == set(there[:3])

    tell(story)


def test_what_is_handed_over_is_announced_no_more_until_the_node_stays() -> None:
    """Its own user's copy lies here still, and what is kept is announced again and again."""

    async def story(lab: Lab) -> None:
        await lab.grow(7)
        leaver = lab.nodes[0]
        root = (await put_bytes(leaver, CONTENT)).cid
        await put_bytes(leaver, CONTENT[1:], replicas=8)  # which it cannot hand over
        await leaver.leaving.leave(unwatched)
        await leaver.reprovide.announce_all()
        leaver.reprovide.again_soon(leaver.completeness.under(root.raw, 0.0)[0])
        await asyncio.sleep(60)
        assert leaver.public_key not in await providers(lab.nodes[1], root)
        await leaver.leaving.cancel()
        await asyncio.sleep(60)
        assert leaver.public_key in await providers(lab.nodes[1], root)

    tell(story)


def test_what_was_pinned_by_hand_is_announced_no_more_either() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(7)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        leaver = next(node for node in lab.nodes if node not in holders(lab, root))
        await pin(leaver, root)
        assert leaver.public_key in await providers(lab.nodes[1], root)
        await leaver.leaving.leave(unwatched)
        assert leaver.public_key not in await providers(lab.nodes[1], root)

    tell(story)


def test_what_its_owner_ended_elsewhere_is_handed_to_nobody() -> None:
    """The leaving node has never heard of that; whom it asks to take it has."""

    async def story(lab: Lab) -> None:
        await lab.grow(7)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(30)  # what it wants is stored by then
        before = holders(lab, root)
        leaver = before[1]
        removal = sign_policy(putter.identity, root, sequence=2**60, removed=True)
        await putter.policies.renewal.renew(removal)
        [done] = await leaver.leaving.leave(unwatched)
        assert (done.act, done.made) == (Act.DROP, 0)
        assert leaver.leaving.left.done()
        assert holders(lab, root) == [node for node in before if node is not leaver]

    tell(story)


def test_how_far_it_is_is_told_with_what_there_is_to_do() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(6)
        client = await lab.add(CLIENT)
        roots = [(await put_bytes(client, CONTENT[number:])).cid for number in range(12)]
        leaver = lab.nodes[1]
        mine = sum(len(CONTENT) - n for n, root in enumerate(roots) if leaver in holders(lab, root))
        told: list[Progress] = []
        done = await leaver.leaving.leave(told.append)
        assert mine <= sum(each.sent_bytes for each in done) < 1.01 * mine, "none counts twice"
        assert {each.total_bytes for each in told} == {mine}
        counts = [each.done_bytes for each in told]
        assert counts == sorted(counts)
        assert counts[-1] == mine
        assert counts[0] < mine / 4

    tell(story)
