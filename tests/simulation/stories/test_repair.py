"""Copies stay as many as their owners asked for, with nobody watching."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_policy

from dhtstore.content.builders.importer import UNIXFS_V1_2025
from dhtstore.content.dag import unit_walk, units
from dhtstore.model.cid import Cid
from dhtstore.model.identity import DhtKey, dht_key, format_node
from dhtstore.node.importing.manner import Manner
from dhtstore.node.node import Node
from dhtstore.node.overview import root_status_of
from dhtstore.operations.operation import unwatched
from dhtstore.params import AUDIT_SAMPLES_MAX, MIB, PROVIDER_PROBE_AT_HOUR_S
from dhtstore.replication.health.copies import CopyState
from dhtstore.replication.health.periods import Periods
from dhtstore.replication.repair.plan import Act
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.health.events import EventRow
from simulations.events.users import once, put_bytes
from tests.bids import sign_policy
from tests.simulation.harness import STORAGE, Lab, put_with, tell
from tests.simulation.stories.test_policies import changed
from tests.simulation.stories.test_trees import put_path

CONTENT = random.Random(3).randbytes(300_000)
PERIODS = Periods.within(7200.0)  # what takes a day takes an hour here
DAY_S, HOUR_S = 3600.0, 150.0
NODE = replace(STORAGE, periods=PERIODS)


async def grow(lab: Lab, count: int) -> None:
    for _ in range(count):
        await lab.add(NODE)


def holders(lab: Lab, root: Cid) -> list[Node]:
    return holders_of(lab, root.raw)


def holders_of(lab: Lab, unit: bytes) -> list[Node]:
    return [node for node in lab.nodes if node.completeness.under(unit, node.ports.clock.unix_s())]


def events(node: Node) -> list[EventRow]:
    return node.ledger.events.last(100)


def kinds(lab: Lab) -> list[str]:
    return sorted(row.kind for node in lab.nodes for row in events(node))


def sent_for_repair(lab: Lab) -> int:
    return sum(node.repair.budget.spent_bytes for node in lab.nodes)


def test_others_make_a_copy_again_when_its_owner_and_a_holder_are_gone_for_good() -> None:
    """Under the owner's grant, once they were silent beyond their grace."""

    async def story(lab: Lab) -> None:
        await grow(lab, 9)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(4 * DAY_S)  # they know each other for steady ones
        [_, second, third] = holders(lab, root)
        for dead in (putter, second):
            lab.crash(dead)
        await asyncio.sleep(PERIODS.grace_min_s - HOUR_S)
        assert kinds(lab) == []
        await asyncio.sleep(2 * DAY_S)
        there = [each for each in holders(lab, root) if each not in (putter, second)]
        assert len(there) == 3
        assert kinds(lab) == ["lost", "lost", "repaired", "repaired"]
        assert {row.node for row in events(third) if row.kind == "lost"} == {
            format_node(dead.node_id) for dead in (putter, second)
        }
        sent = sum(row.size_bytes for row in events(third))
        assert 2 * len(CONTENT) <= sent < 2.1 * len(CONTENT)

    tell(story)


def test_who_put_alone_makes_the_other_copies_as_soon_as_others_are_there() -> None:
    """Nobody is missing, so nobody is waited for."""

    async def story(lab: Lab) -> None:
        await grow(lab, 1)
        putter = lab.nodes[0]
        roots = [
            (await put_with(putter, CONTENT + bytes([n]), replicas=n, min_acks=1)).cid
            for n in (3, 2)
        ]
        await asyncio.sleep(DAY_S)
        assert kinds(lab) == ["refused", "refused"]
        await grow(lab, 3)
        await asyncio.sleep(2 * HOUR_S)
        assert [len(holders(lab, root)) for root in roots] == [3, 2]
        assert kinds(lab) == ["refused"] * 2 + ["repaired"] * 3
        sent = sent_for_repair(lab)
        assert 3 * len(CONTENT) <= sent < 3.1 * len(CONTENT)
        await asyncio.sleep(2 * DAY_S)
        assert [len(holders(lab, root)) for root in roots] == [3, 2]
        assert sent_for_repair(lab) == sent

    tell(story)


@pytest.mark.parametrize("before", [2, 3])
def test_who_wants_more_copies_from_now_on_has_them_made_at_once(before: int) -> None:
    """Of four one may be missing that was lost, not one that was never made."""

    async def story(lab: Lab) -> None:
        await grow(lab, 8)
        putter = lab.nodes[0]
        root = (await put_with(putter, CONTENT, replicas=before)).cid
        await asyncio.sleep(DAY_S)
        await changed(putter, root, replicas=4)
        await asyncio.sleep(2 * HOUR_S)
        assert len(holders(lab, root)) == 4
        assert kinds(lab) == ["repaired"] * (4 - before)

    tell(story)


def test_who_comes_back_within_its_grace_moves_nothing() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        away = holders(lab, root)[1]
        await asyncio.sleep(DAY_S)
        lab.crash(away)
        await asyncio.sleep(PERIODS.grace_min_s - HOUR_S)
        await lab.again(away)
        await asyncio.sleep(3 * DAY_S)
        assert kinds(lab) == []
        assert sent_for_repair(lab) == 0

    tell(story)


def test_a_copy_too_many_goes_and_never_the_one_of_who_put_it() -> None:
    """A holder was away for so long that its copy was made again, and is back."""

    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(4 * DAY_S)
        away = holders(lab, root)[1]
        lab.crash(away)
        await asyncio.sleep(2 * DAY_S)
        assert kinds(lab) == ["lost", "repaired"]
        await lab.again(away)
        await asyncio.sleep(5 * DAY_S)  # until it was there for nine tenths, with the others
        there = [each for each in holders(lab, root) if each is not away]
        assert len(there) == 3  # also where the putter has the highest rank
        assert putter in there

    for seed in (1, 2):
        tell(story, seed=seed)


def test_a_surplus_copy_is_dropped_by_the_highest_rank_alone() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 8)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT, replicas=5)).cid
        await asyncio.sleep(DAY_S)
        fewer = putter.ledger.claims.policy(putter.identity.owner, root.raw)
        assert fewer is not None
        fewer = putter.identity.sign_as_owner(
            replace_policy(fewer, replicas=2, sequence=fewer.sequence + 1)
        )
        for node in holders(lab, root):
            assert node.ledger.claims.update(fewer)
        await asyncio.sleep(2 * DAY_S)
        left = holders(lab, root)
        assert len(left) == 2
        assert putter in left
        assert set(kinds(lab)) == {"dropped"}
        for node in lab.nodes:
            assert (node.ports.store.used_bytes > len(CONTENT)) == (node in left)

    tell(story)


def test_a_holder_whose_disk_rots_is_found_by_an_audit() -> None:
    async def story(lab: Lab) -> None:
        stores = [FaultyBlockStore(MemoryBlockStore(10**9)) for _ in range(6)]
        for store in stores:
            await lab.add(NODE, store=store)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        await asyncio.sleep(2 * HOUR_S)
        [first, bad, _] = holders(lab, root)
        [row] = [first.ledger.holders.get(unit) for unit in first.ledger.holders.units()]
        assert all(each.proven_unix_s for each in row.holders)
        bad.ports.store.rot(root)  # type: ignore[attr-defined]
        [one] = await first.repair.units.named([(root.raw, False)])
        await first.repair.asking.afresh(one)
        lacks = {each.key: each.lacks for each in one.row.holders}
        assert lacks[bad.public_key]
        assert sum(map(bool, lacks.values())) == 1

    tell(story)


def test_who_failed_an_audit_is_not_taken_for_whole_for_a_few_blocks_that_it_has() -> None:
    """What was found was forgotten at the next look: of 75 blocks four whole ones are likely.  It
    is once it has again what it had not."""

    async def story(lab: Lab) -> None:
        stores = [FaultyBlockStore(MemoryBlockStore(10**9)) for _ in range(6)]
        for store in stores:
            await lab.add(NODE, store=store)
        manner = Manner(profile=replace(UNIXFS_V1_2025, chunk_size_bytes=4096))
        put = partial(lab.nodes[0].uploader().put, manner=manner, progress=unwatched)
        root = (await put(once(CONTENT), name="x", replicas=3, min_acks=3)).cid
        await asyncio.sleep(2 * HOUR_S)
        [first, bad, _] = holders(lab, root)
        block = min(set(bad.disk.store.cids()) - {root}, key=lambda each: each.raw)
        whole = bad.disk.store.get(block)
        bad.ports.store.rot(block)  # type: ignore[attr-defined]
        [one] = await first.repair.units.named([(root.raw, False)])
        await first.repair.asking.audit({bad.public_key: [(one, AUDIT_SAMPLES_MAX)]})
        for _ in range(3):
            await first.repair.asking.afresh(one)
            assert [each.key for each in one.row.holders if each.lacks] == [bad.public_key]
        with bad.disk.store.batch() as batch:
            batch.put(block, whole, anew=True)
            batch.commit()
        await first.repair.asking.afresh(one)
        assert not any(each.lacks or each.failed for each in one.row.holders)

    tell(story)


def test_holders_hear_of_a_new_copy_from_who_has_it_and_look_nobody_up() -> None:
    """The new holder looks for the others and audits them, and they ask it in turn."""

    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        await asyncio.sleep(4 * HOUR_S)
        [first, second, third] = holders(lab, root)
        unit = (root.raw, False)
        looked = [node.ledger.holders.get(unit).looked_unix_s for node in (second, third)]
        async with first.repair.alone():
            [one] = await first.repair.units.named([unit])
            await first.repair.acting.repair(one, 1)
        [new] = [node for node in holders(lab, root) if node not in (first, second, third)]
        await asyncio.sleep(3 * HOUR_S)
        for node, before in zip((second, third), looked, strict=True):
            row = node.ledger.holders.get(unit)
            [known] = [each for each in row.holders if each.key == new.public_key]
            assert known.proven_unix_s
            assert row.looked_unix_s == before

    tell(story)


def test_a_holder_that_went_before_the_others_looked_for_it_is_one_all_the_same() -> None:
    """The index calls it silent, and names it to who asks for holders all the same: one that was
    never heard of would be replaced, though it comes back."""

    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        await asyncio.sleep(0.5 * DAY_S)
        [first, _, gone] = holders(lab, root)
        lab.crash(gone)
        await asyncio.sleep(PROVIDER_PROBE_AT_HOUR_S + 120)
        found = await first.dht.find_providers(dht_key(root.raw), wanted=8, timeout_s=20)
        assert gone.public_key not in {each.record.signer for each in found.providers}
        [one] = await first.repair.units.named([(root.raw, False)])
        one.row = one.row._replace(holders=())
        await first.repair.asking.look(one)
        assert gone.public_key in one.holders

    tell(story)


def test_a_copy_of_which_the_index_was_not_told_is_announced_within_the_hour() -> None:
    """Who put it lost its line at that moment, or the index forgot it: the holder finds out when it
    looks for the others, and does not wait for its next round of half a day."""

    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        [first, second, third] = holders(lab, root)
        for node in (second, third):
            await node.dht.withdraw(dht_key(root.raw), timeout_s=20)
        await asyncio.sleep(2 * HOUR_S)
        found = await lab.nodes[-1].dht.find_providers(dht_key(root.raw), wanted=8, timeout_s=20)
        named = {each.record.signer for each in found.providers}
        assert named == {node.public_key for node in (first, second, third)}

    tell(story)


def test_a_copy_that_a_single_index_node_knows_of_is_announced_within_the_hour() -> None:
    """It would be found no more once that one went: nobody else could be told at that moment."""

    async def story(lab: Lab) -> None:
        await grow(lab, 12)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        key = dht_key(root.raw)
        index = lab.nodes[-1].dht.rpc.keeper
        [_, second, _] = holders(lab, root)
        await second.dht.withdraw(key, timeout_s=20)
        index.keep(second.identity.provider_record(key))
        await asyncio.sleep(2 * HOUR_S)
        told = [node for node in lab.nodes if second.public_key in named_by(node, key)]
        assert len(told) == len(lab.nodes)

    tell(story)


def named_by(node: Node, key: DhtKey) -> list[bytes]:
    return [record.public_key for record in node.dht.rpc.keeper.providers(key)]


def test_the_plan_is_told_with_its_reasons_and_done_when_somebody_asks_for_it() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 6)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(2 * HOUR_S)
        lab.crash(holders(lab, root)[1])
        await asyncio.sleep(3 * HOUR_S)
        [planned] = await putter.repair.plan()
        assert planned.act is Act.NOTHING
        assert "silent, for less than" in planned.why
        assert kinds(lab) == []
        [done] = await putter.repair.now()
        assert (done.act, done.made) == (Act.REPAIR, 1)
        assert kinds(lab) == ["repaired"]
        [planned] = await putter.repair.plan()
        assert planned.act is Act.NOTHING

    tell(story)


def test_without_budget_nothing_is_sent_and_the_status_says_so() -> None:
    async def story(lab: Lab) -> None:
        for _ in range(6):
            await lab.add(replace(NODE, repair_budget_bytes=0))
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(4 * DAY_S)
        lab.crash(holders(lab, root)[1])
        await asyncio.sleep(2 * DAY_S)
        assert kinds(lab) == []
        assert any("too few copies" in text for text in putter.warnings.texts)
        [planned] = await putter.repair.plan()
        assert planned.act is Act.WAIT
        assert "; too little is left of today's budget: 0 B, and a copy takes" in planned.why
        care = (await root_status_of(putter, root, check=False)).units[0].care
        assert care is not None
        assert (care.act, care.why, care.due) == ("wait", planned.why, None)

    tell(story)


def test_the_warning_counts_all_that_wait_for_the_budget_also_after_the_turn_of_one() -> None:
    """Those whose turn comes between two rounds are judged alone, and were counted alone."""

    async def story(lab: Lab) -> None:
        for _ in range(4):
            await lab.add(replace(NODE, repair_budget_bytes=0))
        putter = lab.nodes[0]
        for number in range(3):
            await put_with(putter, CONTENT + bytes([number]), replicas=4)
        await asyncio.sleep(4 * DAY_S)
        await lab.add(replace(NODE, repair_budget_bytes=0))
        for dead in lab.nodes[1:3]:
            lab.crash(dead)
        await asyncio.sleep(DAY_S)
        repair = putter.repair
        [told] = [text for text in putter.warnings.texts if "must wait" in text]
        assert told.startswith("3 units")
        one, *_ = await repair.plan()
        repair._waiting[one.one.id] = 0.0
        await repair._look_at_waiting()
        assert told in putter.warnings.texts
        await repair.now()
        assert not any("must wait" in text for text in putter.warnings.texts)

    tell(story)


def test_what_is_left_of_the_budget_goes_to_as_many_copies_as_it_is_enough_for() -> None:
    """Two copies were missing, and both waited for tomorrow, since today's rest was for one."""

    async def story(lab: Lab) -> None:
        for _ in range(6):
            await lab.add(replace(NODE, repair_budget_bytes=450_000))
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(4 * DAY_S)
        await putter.repair.budget.spent(1000)
        for dead in [node for node in holders(lab, root) if node is not putter]:
            lab.crash(dead)
        await asyncio.sleep(DAY_S)  # before the new holder waits no more for the others
        assert kinds(lab) == ["lost", "lost", "repaired"]
        [planned] = await putter.repair.plan()
        assert planned.act is Act.WAIT
        assert planned.why.startswith("2 copies of 3")
        assert planned.why.endswith(
            "; too little is left of today's budget: 149.0 kB, and a copy takes 300.1 kB"
        )
        now_unix_s = putter.ports.clock.unix_s()
        care = (await root_status_of(putter, root, check=False)).units[0].care
        assert care is not None
        assert care.due is not None
        assert (care.act, care.why) == ("wait", planned.why)
        assert 22 < (care.due.unix_s - now_unix_s) / 3600 < 24

    tell(story)


def test_who_went_since_it_was_asked_last_is_waited_for_like_any_other() -> None:
    """Of three copies one is lost, and another's holder went in the last hour, before it could
    prove its own: the two were both made again."""

    async def story(lab: Lab) -> None:
        for _ in range(6):
            await lab.add(replace(NODE, repair_budget_bytes=0))
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(2 * DAY_S)
        [_, second, third] = holders(lab, root)
        [one] = await putter.repair.units.named([(root.raw, False)])
        lab.crash(third)
        async with putter.repair.alone():
            while not putter.repair.judge.health(one).at(CopyState.LOST):
                await asyncio.sleep(HOUR_S)
                await putter.repair.fellows.look()
            lab.crash(second)
            await asyncio.sleep(PERIODS.turn_s)
            putter.repair.judge.judge(one, putter.ports.clock.unix_s())
            await putter.repair.asking.afresh(one)
            choice = putter.repair.judge.judge(one, putter.ports.clock.unix_s())
        assert (choice.copies, choice.missing) == (2, 1)

    tell(story)


def test_what_has_enough_copies_that_are_yet_to_be_proved_does_not_wait_for_the_budget() -> None:
    """Once a copy is gone, only what is proved since counts: to ask for that costs no budget."""

    async def story(lab: Lab) -> None:
        for _ in range(6):
            await lab.add(replace(NODE, repair_budget_bytes=0))
        putter = lab.nodes[0]
        root = (await put_with(putter, CONTENT, replicas=4)).cid
        await asyncio.sleep(2 * HOUR_S)
        await changed(putter, root, replicas=3)
        lab.crash(next(node for node in holders(lab, root) if node is not putter))
        for _ in range(16):
            await asyncio.sleep(DAY_S / 8)
            assert not any("must wait" in text for text in putter.warnings.texts)
            [planned] = await putter.repair.plan()
            assert "budget" not in planned.why
        assert planned.why == "3 copies of 3"

    tell(story)


def test_enough_copies_are_asked_for_a_proof_though_nobody_is_left_to_take_another() -> None:
    """All other storage nodes hold it: that was told as a refusal, and nobody was asked."""

    async def story(lab: Lab) -> None:
        await grow(lab, 5)
        putter = lab.nodes[0]
        root = (await put_with(putter, CONTENT, replicas=5)).cid
        await asyncio.sleep(4 * DAY_S)
        dead = next(node for node in holders(lab, root) if node is not putter)
        lab.crash(dead)
        await asyncio.sleep(2 * DAY_S)
        for node in lab.nodes:
            if node is not dead:
                [planned] = await node.repair.plan()
                assert (planned.act, planned.why) == (Act.NOTHING, "4 copies of 5")
        assert kinds(lab) == []

    tell(story)


def test_a_part_of_a_large_object_is_proved_to_be_one_when_it_is_brought(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who repairs it has nothing of what lies above it, and gets that from others."""
    for module in (units, unit_walk):
        monkeypatch.setattr(module, "UNIT_SIZE_MAX_BYTES", 2 * MIB)
    large = random.Random(4).randbytes(5 * MIB)

    async def story(lab: Lab) -> None:
        await grow(lab, 16)
        putter = lab.nodes[0]
        result = await put_bytes(putter, large)
        parts = sorted({receipt.unit for receipt in result.receipts})
        assert len(parts) > 2
        await asyncio.sleep(4 * DAY_S)
        run = next(name for name in parts if name != result.cid.raw)
        dead = next(node for node in holders_of(lab, run) if node is not putter)
        lab.crash(dead)
        lab.crash(putter)
        await asyncio.sleep(3 * DAY_S)
        for name in parts:
            there = [each for each in holders_of(lab, name) if each not in (putter, dead)]
            assert len(there) == 3, name.hex()
        by = [node for node in lab.nodes if any(row.kind == "repaired" for row in events(node))]
        assert any(not node.ports.store.has(result.cid) for node in by)

    tell(story, seed=2)


@pytest.mark.parametrize("kind", ["a file that repeats", "directories in one"])
def test_what_claims_more_than_its_blocks_hold_is_repaired_too(kind: str, tmp_path: Path) -> None:
    """What links claim counts repeated blocks again, and directories; a claim on it does not."""
    deep = tmp_path / "deep"
    (deep / "er").mkdir(parents=True)
    (deep / "er" / "file").write_bytes(CONTENT)

    async def story(lab: Lab) -> None:
        await grow(lab, 4)
        putter = lab.nodes[0]
        repeats = kind == "a file that repeats"
        put = put_bytes(putter, bytes(5 * MIB)) if repeats else put_path(putter, deep)
        root = (await put).cid
        lab.crash(next(node for node in holders(lab, root) if node is not putter))
        await asyncio.sleep(4 * DAY_S)
        assert len(holders(lab, root)) == 4
        assert kinds(lab)[-1] == "repaired"

    tell(story)


def test_status_warns_for_as_long_as_a_unit_has_fewer_copies_than_wanted() -> None:
    """Three nodes, three copies, one dead: nobody can make another, until a fourth comes."""

    async def story(lab: Lab) -> None:
        await grow(lab, 3)
        await put_bytes(lab.nodes[0], CONTENT)
        await asyncio.sleep(4 * DAY_S)
        assert lab.nodes[0].warnings.texts == []
        lab.crash(lab.nodes[2])
        await asyncio.sleep(3 * DAY_S)
        [told] = lab.nodes[0].warnings.texts
        assert told.startswith("1 unit that is held here has fewer copies than wanted")
        await grow(lab, 1)
        await asyncio.sleep(DAY_S)
        assert lab.nodes[0].warnings.texts == []

    tell(story)


def test_who_is_told_that_its_owner_wants_something_else_by_now_looks_at_once() -> None:
    """It was never told that all copies shall go; whom it asks to take one was."""

    async def story(lab: Lab) -> None:
        await grow(lab, 9)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(2 * HOUR_S)
        removal = sign_policy(putter.identity, root, sequence=2**60, removed=True)
        await putter.policies.renewal.renew(removal)
        lab.crash(putter)
        await asyncio.sleep(3 * HOUR_S)
        [_, repairer, _] = holders(lab, root)
        [done] = await repairer.repair.now()
        assert (done.act, done.made) == (Act.REPAIR, 0)
        assert repairer not in holders(lab, root)

    tell(story)
