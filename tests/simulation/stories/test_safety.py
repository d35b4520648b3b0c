"""What its owner is told of a put whose holders go, come and are replaced."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace as dataclass_replace

import pytest
from msgspec.structs import replace

from dhtstore.cli.terminal.words import root_lines
from dhtstore.config import format_duration
from dhtstore.content.dag import unit_walk, units
from dhtstore.errors import NotFound, QuorumNotReached, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.identity import dht_key, format_node
from dhtstore.model.policy import Claim
from dhtstore.model.receipt import Receipt
from dhtstore.node.checking.answer import CheckAnswers
from dhtstore.node.duties.leaving.telling import left
from dhtstore.node.duties.owning.outlook import Outlook
from dhtstore.node.duties.owning.weakest import Weakest
from dhtstore.node.duties.repairing.acting import NOBODY
from dhtstore.node.duties.repairing.telling import copy_events, repaired
from dhtstore.node.duties.repairing.told import UnitDone
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.node.node import Node
from dhtstore.node.overview import root_status_of
from dhtstore.node.policies.showing import policy_of_root
from dhtstore.node.views.copies.list_puts import put_summaries
from dhtstore.node.views.copies.root_status import root_status
from dhtstore.node.views.copies.safety import safety_known
from dhtstore.operations.keeping import PutSummary, SetPolicy
from dhtstore.operations.nodes import RootStatus
from dhtstore.operations.operation import unwatched
from dhtstore.operations.repairing import RepairedUnit, RepairResult
from dhtstore.params import MIB
from dhtstore.store.ledger.puts import Receipts
from dhtstore.wire.frames import Check, Checked
from simulations.events.users import put_bytes
from tests.simulation.harness import CLIENT, Lab, tell
from tests.simulation.stories.test_policies import changed, removed
from tests.simulation.stories.test_repair import (
    CONTENT,
    DAY_S,
    HOUR_S,
    NODE,
    PERIODS,
    grow,
    holders,
)


async def listed(node: Node) -> PutSummary:
    found: list[PutSummary] = []

    async def take(rows: list[PutSummary]) -> None:
        found.extend(rows)

    now_unix_s = node.ports.clock.unix_s()
    watched = node.repair.fellows.known()
    safety = await safety_known(node.disk, node.ledger, now_unix_s, watched, PERIODS)
    await put_summaries(node.disk, node.ledger, take, safety)
    [row] = found
    return row


def test_a_look_at_a_put_of_many_units_reads_its_receipts_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A terabyte has 1,000 units and 3,000 receipts; once a unit they would be 3 million."""
    for module in (units, unit_walk):
        monkeypatch.setattr(module, "UNIT_SIZE_MAX_BYTES", 2 * MIB)
    reads, read = list[Cid](), Receipts.for_root

    def counted(self: Receipts, root: Cid) -> list[Receipt]:
        reads.append(root)
        return read(self, root)

    monkeypatch.setattr(Receipts, "for_root", counted)

    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        putter = lab.nodes[0]
        result = await put_bytes(putter, random.Random(4).randbytes(9 * MIB))
        assert len({receipt.unit for receipt in result.receipts}) > 4
        await asyncio.sleep(HOUR_S)
        reads.clear()
        await putter.own_puts.look(result.cid)
        assert reads == [result.cid]

    tell(story)


async def checked(node: Node, cid: str) -> RootStatus:
    async with node.fetch_session() as session:
        return await root_status(session, node.checker(), Cid.parse(cid), None, check=True)


def test_the_list_follows_a_holder_that_falls_silent_and_is_replaced() -> None:
    """Without a command: audits, silence, and the receipt of who made a copy since."""

    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        row = await listed(putter)
        assert (row.state, row.copies, row.live, row.networks) == ("safe", 3, 3, 1)
        await asyncio.sleep(5 * DAY_S)
        row = await listed(putter)
        assert row.state == "safe"
        assert row.proved is not None
        assert row.proved.unix_s > row.created.unix_s  # by audits
        gone = holders(lab, root)[1]
        lab.crash(gone)
        await asyncio.sleep(4 * HOUR_S)
        row = await listed(putter)
        assert (row.state, row.copies, row.live) == ("silent", 3, 2)
        assert row.silent is not None
        assert row.due is not None
        now = putter.ports.clock.unix_s()
        assert now - 6 * HOUR_S < row.silent.unix_s < now - 2 * HOUR_S
        assert 0 < row.due.unix_s - now < PERIODS.grace_min_s
        await asyncio.sleep(3 * DAY_S)
        row = await listed(putter)
        assert (row.state, row.copies, row.live, row.networks) == ("safe", 3, 3, 1)
        signed = {each.node for each in putter.ledger.receipts.for_root(root)}
        assert signed >= {each.node_id for each in holders(lab, root)}
        assert gone.node_id in signed

    tell(story)


async def put_by_two(lab: Lab) -> tuple[Node, Node, Cid]:
    """Both want three copies, and there are four, of which each owner's node keeps its own."""
    await grow(lab, 7)
    alice, bob = lab.nodes[0], lab.nodes[3]
    root = (await put_bytes(alice, CONTENT)).cid
    await put_bytes(bob, CONTENT)
    assert len(holders(lab, root)) == 4
    return alice, bob, root


async def shared_by_two(lab: Lab) -> tuple[Node, Node, Cid]:
    """The same where one of the four has been silent for a while."""
    alice, bob, root = await put_by_two(lab)
    gone = next(node for node in holders(lab, root) if node not in (alice, bob))
    lab.crash(gone)
    await gone.stop()
    lab.nodes.remove(gone)
    await asyncio.sleep(4 * HOUR_S)
    assert len(holders(lab, root)) == 3
    return alice, bob, root


def test_a_copy_that_went_as_a_surplus_counts_no_more_in_the_list() -> None:
    """Those that stay keep theirs for both owners by then."""

    async def story(lab: Lab) -> None:
        alice, bob, root = await put_by_two(lab)
        await asyncio.sleep(4 * DAY_S)
        there = {bytes(each.node_id) for each in holders(lab, root)}
        assert len(there) == 3
        signed = [
            {each.node for each in owner.ledger.receipts.for_root(root)} for owner in (alice, bob)
        ]
        assert all(there <= each for each in signed)
        assert any(there < each for each in signed), "one that went had signed"
        for owner in (alice, bob):
            row = await listed(owner)
            assert (row.state, row.copies) == ("safe", 3)

    tell(story)


def test_of_two_owners_each_is_told_what_it_wants_and_what_is_kept_for_the_other() -> None:
    async def story(lab: Lab) -> None:
        alice, bob, root = await shared_by_two(lab)
        assert (await listed(alice)).state == "silent"
        await changed(bob, root, replicas=2)
        told = await root_status_of(alice, root, check=False)
        assert told.put is not None
        assert (told.put.state, told.put.live, told.put.others) == ("shared", 2, 1)
        states = {each.node: each.state for each in told.units[0].holders}
        assert states[format_node(bob.node_id)] == "for others"
        assert told.units[0].announced == []
        assert [(each.owner, each.replicas, each.own) for each in told.owners] == [
            (alice.identity.owner.hex(), 3, True),
            (bob.identity.owner.hex(), 2, False),
        ]
        lines = "\n".join(root_lines(told, alice.ports.clock.unix_s()))
        assert (
            "bytes: 3 copies, 1 of them just made, or kept for another owner, last proved" in lines
        )
        assert f"wanted: 3 copies by this owner, 2 by {bob.identity.owner.hex()[:8]}" in lines
        await asyncio.sleep(4 * DAY_S)
        row = await listed(alice)
        assert (row.state, row.copies) == ("safe", 3), "another signed for both by then"

    tell(story)


def test_what_another_owner_kept_and_removes_is_made_again() -> None:
    async def story(lab: Lab) -> None:
        alice, bob, root = await shared_by_two(lab)
        await removed(bob, root)
        await asyncio.sleep(4 * DAY_S)
        row = await listed(alice)
        assert (row.state, row.copies, row.others) == ("safe", 3, 0)
        assert alice in holders(lab, root)

    tell(story)


def test_a_client_learns_of_new_holders_when_it_checks() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        putter = await lab.add(CLIENT)
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(4 * DAY_S)
        gone = holders(lab, root)[0]
        lab.crash(gone)
        await asyncio.sleep(3 * DAY_S)
        assert len(holders(lab, root)) == 4  # with the disk of the one that is gone
        told = await checked(putter, str(root))
        assert told.copies == 3
        states = {each.node: each.state for each in told.units[0].holders}
        assert states[format_node(gone.node_id)] == "silent"
        assert sorted(states.values()) == ["live", "live", "live", "silent"]
        row = await listed(putter)
        assert (row.state, row.copies, row.networks) == ("safe", 3, 1)

    tell(story)


def test_who_signs_without_having_it_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is asked for a receipt may sign one: it counts with a block picked at random."""
    honest = CheckAnswers.on_check
    liars: list[Node] = []
    claims: list[Claim] = []

    async def lie(self: CheckAnswers, link: Link, asked: Check, reply: Reply) -> None:
        liar = next((each for each in liars if each.identity is self.identity), None)
        if liar is None or asked.owner is None:
            await honest(self, link, asked, reply)
        else:
            receipt = liar.identity.receipt(claims[0])
            await reply(Checked(whole=True, receipt=receipt.packed))

    monkeypatch.setattr(CheckAnswers, "on_check", lie)

    async def story(lab: Lab) -> None:
        await grow(lab, 5)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        claims.extend(putter.ledger.claims.for_unit(root.raw))
        there = holders(lab, root)
        liars.extend(each for each in lab.nodes if each not in there)
        for liar in liars:
            key = dht_key(root.raw)
            record = liar.identity.provider_record(key)
            await liar.dht.provide(key, [(record, liar.identity.record())], timeout_s=30.0)
        lab.crash(there[1])
        told = await checked(putter, str(root))
        assert told.copies == 2
        states = {each.node: each.state for each in told.units[0].holders}
        assert {states[format_node(liar.node_id)] for liar in liars} == {"lacks"}
        signed = {each.node for each in putter.ledger.receipts.for_root(root)}
        assert signed.isdisjoint(liar.node_id for liar in liars)

    tell(story)


def test_status_tells_what_is_weak_what_waits_and_how_likely_it_is_lost() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        putter = lab.nodes[0]
        roots = [(await put_bytes(putter, CONTENT + bytes([n]))).cid for n in range(3)]
        pair = (await put_bytes(putter, CONTENT + b"pair", replicas=2)).cid
        await asyncio.sleep(2 * DAY_S)
        outlook = Outlook(putter.repair)
        told = await Weakest(outlook, putter.ledger.holders).status()
        assert (told.watched, told.short, told.short_bytes, told.waiting) == (4, 0, 0, {})
        assert told.weakest[0].root == str(pair)
        assert {each.root for each in told.weakest} == {str(pair), *map(str, roots)}
        odds = [each.lost_per_year for each in told.weakest]
        assert 0 < odds[-1] < 1e-3
        assert 10 * odds[-1] < odds[0] < 0.1
        assert not told.seen.measured
        assert 0 < told.seen.watched_s < 5 * 3 * DAY_S
        root = await outlook.of_root(await checked(putter, str(roots[0])))
        [unit] = root.units
        assert unit.care is not None
        assert (unit.care.act, unit.care.why, unit.care.due) == ("nothing", "3 copies of 3", None)
        assert unit.care.audit is not None
        now = putter.ports.clock.unix_s()
        assert now <= unit.care.audit.unix_s <= now + PERIODS.audit_every_s
        others = [each for each in unit.holders if each.seen is not None]
        assert [(each.silent_s, each.there) for each in others] == [(0, 1.0)] * 2

    tell(story)


def test_what_can_be_repaired_by_nobody_waits_and_status_says_for_whom() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 3)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(4 * DAY_S)
        lab.crash(lab.nodes[1])
        await asyncio.sleep(4 * HOUR_S)
        outlook = Outlook(putter.repair)
        weakest = Weakest(outlook, putter.ledger.holders)
        [weak] = (await weakest.status()).weakest
        assert (weak.live, weak.copies, weak.replicas, weak.act) == (2, 3, 3, "nothing")
        assert weak.due is not None
        assert 0 < weak.due.unix_s - putter.ports.clock.unix_s() < PERIODS.grace_min_s + HOUR_S
        before = weak.lost_per_year
        await asyncio.sleep(DAY_S)
        told = await weakest.status()
        assert (told.short, told.short_bytes > len(CONTENT)) == (1, True)
        assert [why for why in told.waiting if "somebody who takes them" in why]
        assert told.weakest[0].lost_per_year > before
        assert told.seen.gone == 1
        events = await copy_events(putter.ledger, putter.disk.blocking, 10)
        assert [(each.kind, each.root) for each in events] == [("refused", str(root))]
        later = putter.ports.clock.unix_s()
        assert await copy_events(putter.ledger, putter.disk.blocking, 10, later) == []

    tell(story)


def test_a_put_that_too_few_signed_for_is_not_told_as_if_there_were_enough() -> None:
    """With one copy of three "3 copies of 3" and 1 in 10^9 were told for two days."""

    async def story(lab: Lab) -> None:
        await grow(lab, 1)
        putter = lab.nodes[0]
        with pytest.raises(QuorumNotReached):
            await put_bytes(putter, CONTENT)
        root = Cid(putter.ledger.puts.list()[0].root)
        await asyncio.sleep(2 * HOUR_S)
        outlook = Outlook(putter.repair)
        row = await listed(putter)
        told = await checked(putter, str(root))
        [unit] = (await outlook.of_root(replace(told, put=row))).units
        assert unit.care is not None
        assert (unit.care.act, unit.care.due) == ("wait", None)
        assert unit.care.why.startswith(f"1 copy of 3; {NOBODY}: ")
        [weak] = (await Weakest(outlook, putter.ledger.holders).status()).weakest
        assert weak.lost_per_year == unit.lost_per_year
        assert weak.lost_per_year is not None
        assert weak.lost_per_year > 1e-4  # of an hour without the two

    tell(story)


def test_what_has_just_been_repaired_is_short_no_more() -> None:
    """Until the next round there was "1 unit has fewer copies than wanted, 0 B to send"."""

    async def story(lab: Lab) -> None:
        await grow(lab, 1)
        putter = lab.nodes[0]
        with pytest.raises(QuorumNotReached):
            await put_bytes(putter, CONTENT)
        root = Cid(putter.ledger.puts.list()[0].root)
        await asyncio.sleep(2 * HOUR_S)
        weakest = Weakest(Outlook(putter.repair), putter.ledger.holders)
        told = await weakest.status()
        assert (told.short, told.short_bytes > 2 * len(CONTENT)) == (1, True)
        await grow(lab, 2)
        await putter.repair.now()
        assert len(holders(lab, root)) == 3
        told = await weakest.status()
        assert (told.short, told.short_bytes, told.waiting) == (0, 0, {})

    tell(story)


def test_who_signed_before_its_owner_wanted_more_is_no_holder_of_others() -> None:
    """Holders were told, and the new ones sign for what is wanted by now: so do those of before."""

    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(DAY_S)
        policy = (await changed(putter, root, replicas=5)).policy
        await asyncio.sleep(2 * HOUR_S)
        assert len(holders(lab, root)) == 5
        row = await listed(putter)
        assert (row.state, row.copies, row.others) == ("safe", 5, 0)
        signed = {each.policy_seq for each in putter.ledger.receipts.for_root(root)}
        assert signed == {policy.sequence}

    tell(story)


def test_a_copy_that_was_never_made_is_told_as_one_that_is_made_and_a_lost_one_may_wait() -> None:
    """Of four: beside "repair is due" stood that one may wait for the next."""

    async def story(lab: Lab) -> None:
        await grow(lab, 7)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(DAY_S)
        await changed(putter, root, replicas=4)
        row = await listed(putter)
        assert (row.state, row.copies) == ("short", 3)
        assert row.due is not None
        assert row.due.unix_s == int(putter.ports.clock.unix_s())
        await asyncio.sleep(2 * HOUR_S)
        assert len(holders(lab, root)) == 4
        lab.crash(next(node for node in holders(lab, root) if node is not putter))
        await asyncio.sleep(3 * DAY_S)
        row = await listed(putter)
        assert (row.state, row.copies, row.due) == ("short", 3, None)

    tell(story)


def test_who_holds_nothing_for_others_is_told_what_to_do_instead() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 3)
        client = await lab.add(CLIENT)
        with pytest.raises(UsageError, match="nothing to repair") as repairing:
            await repaired(client.repair, None, lambda one: None, dry_run=False)
        assert "`dhtstore list --check`" in repairing.value.hint
        with pytest.raises(UsageError, match="holds nothing for others") as leaving:
            await left(client.leaving, unwatched, storage=False, cancel=False)
        assert "just stop it" in leaving.value.hint
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        async with client.fetch_session() as session:
            with pytest.raises(NotFound, match="nobody knows") as asking:
                await policy_of_root(
                    client.policy_changes(), session, root, SetPolicy(root=str(root))
                )
        assert "dhtstore owner export" in asking.value.hint

    tell(story)


def test_how_likely_a_strangers_file_is_lost_is_told_once_its_holders_were_asked() -> None:
    """Of what others put no copy counts before: that is not known, and no loss for sure."""

    async def story(lab: Lab) -> None:
        await grow(lab, 3)
        client = await lab.add(CLIENT)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        unasked = await root_status_of(client, root, check=False)
        assert (unasked.copies, unasked.lost_per_year) == (0, None)
        assert [each.lost_per_year for each in unasked.units] == [None]
        asked = await root_status_of(client, root, check=True)
        assert asked.copies == 3
        assert asked.lost_per_year is not None
        assert 0 < asked.lost_per_year < 0.01

    tell(story)


def test_the_label_of_a_holder_is_told_after_it_was_asked_too() -> None:
    async def story(lab: Lab) -> None:
        for label in ("attic", "cellar", "shed"):
            await lab.add(dataclass_replace(NODE, domain=label))
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        for check in (False, True, False):
            [unit] = (await root_status_of(putter, root, check=check)).units
            assert sorted(each.domain for each in unit.holders) == ["attic", "cellar", "shed"]

    tell(story)


def test_the_plan_names_what_waits_for_a_silent_holder_and_until_when() -> None:
    """As the list does: nothing is to be done yet, and will be."""

    async def story(lab: Lab) -> None:
        await grow(lab, 4)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(2 * HOUR_S)

        async def planned() -> list[RepairedUnit]:
            return (await dry_run_of(putter)).units

        assert await planned() == []
        lab.crash(next(node for node in holders(lab, root) if node is not putter))
        await asyncio.sleep(3 * HOUR_S)
        row = await listed(putter)
        [waits] = await planned()
        assert row.due is not None
        left = format_duration(row.due.unix_s - putter.ports.clock.unix_s())
        assert (waits.act, waits.name, waits.root) == ("wait", row.name, str(root))
        assert waits.why.startswith("3 copies of 3, 1 of them silent, for less than its grace;")
        assert waits.why.endswith(f"repair starts in {left}")

    tell(story)


def test_more_copies_than_there_are_nodes_are_not_said_to_be_there_or_to_be_made() -> None:
    """It read "64 copies of 64, 58 of them not found yet", "repair is due", and as good as safe."""

    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await changed(putter, root, replicas=64)
        await asyncio.sleep(2 * HOUR_S)
        assert len(holders(lab, root)) == 6
        [here] = (await dry_run_of(putter)).units
        assert here.act == "wait"
        assert here.why == (
            f"6 copies of 64; {NOBODY}: one has to join, or `dhtstore policy` to want fewer"
        )
        told = await root_status_of(putter, root, check=False)
        *_, lost, next_ = root_lines(told, putter.ports.clock.unix_s())
        assert next_.endswith(here.why)
        assert lost.startswith("lost within a year: ")
        assert told.lost_per_year is not None
        assert told.lost_per_year > 1e-3, "nobody would take a copy in place of another"
        [there] = (await dry_run_of(lab.nodes[3])).units
        assert there.why.startswith("6 copies of 64, 58 more looked for; repair starts in ")

    tell(story)


async def dry_run_of(node: Node) -> RepairResult:
    async def none() -> list[UnitDone]:
        return []

    return await repaired(node.repair, none, Outlook(node.repair).waits_s, dry_run=True)


@pytest.mark.parametrize("kept", [0, 1])
def test_what_had_expired_and_is_gone_is_not_called_safe_once_more_time_is_given(kept: int) -> None:
    """Receipts and proofs of a few days ago are young; who is told of it says that it has none."""

    async def story(lab: Lab) -> None:
        await lab.grow(4)
        owner = await lab.add(CLIENT)
        root = (await put_bytes(owner, CONTENT)).cid
        ends = int(owner.ports.clock.unix_s() + 60)
        await changed(owner, root, expires=ends)
        assert len(holders(lab, root)) == 3
        for node in holders(lab, root)[kept:]:
            node.ledger.claims.forget(root.raw)  # as is done days later
        asked = SetPolicy(root=str(root), ttl_s=1e6)
        async with owner.fetch_session() as session:
            told = await policy_of_root(owner.policy_changes(), session, root, asked)
        assert (told.told, told.lacking) == (3, 3 - kept)
        row = await listed(owner)
        assert (row.state, row.copies) == ("short" if kept else "none", kept)

    tell(story)
