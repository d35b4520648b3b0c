"""Put and get among whole nodes: what is signed is there, and what fails is replaced or told."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from dhtstore.errors import BlockMissing, NotFound, QuorumNotReached, Unreachable, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node
from dhtstore.node.copies.own_copy import own_claim
from dhtstore.node.flows.read import read
from dhtstore.node.node import Node
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.operations.operation import Progress
from dhtstore.params import MIB, REQUEST_TIMEOUT_S
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from simulations.events.users import get_bytes, put_bytes
from simulations.world.ports.clock import SimClock
from tests.simulation.harness import (
    CLIENT,
    STORAGE,
    Lab,
    UnevenBlocking,
    check_receipts,
    pin,
    policy_of,
    providers_seen,
    put_with,
    tell,
    units_of,
)

CONTENT = random.Random(3).randbytes(5 * MIB // 2)
BLOCKS = 4  # three leaves and their parent


def holders(lab: Lab, result: PutOutcome, *, but: Node) -> list[Node]:
    keys = {receipt.signer for receipt in result.receipts}
    return [node for node in lab.nodes if node.public_key in keys and node is not but]


# --- copies and who finds them --------------------------------------------------------------


@pytest.mark.parametrize(("count", "replicas"), [(5, 3), (30, 3), (12, 7)])
def test_a_put_makes_distinct_verified_copies_that_every_node_finds(
    count: int, replicas: int
) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(count)
        node = lab.nodes[count // 2]
        result = await put_bytes(node, CONTENT, replicas=replicas)
        assert (result.copies, result.replicas, result.min_acks) == (replicas, replicas, 2)
        check_receipts(lab, result, copies=replicas)
        assert node.public_key in {receipt.public_key for receipt in result.receipts}
        assert {(r.blocks, r.size) for r in result.receipts} == {(BLOCKS, len(CONTENT))}
        [unit] = units_of(node, result)
        signed = {receipt.public_key for receipt in result.receipts}
        for asking in lab.nodes:
            assert await providers_seen(asking, unit) == signed

    tell(story)


@pytest.mark.parametrize("silent", [True, False])
def test_one_of_three_holders_is_enough(silent: bool) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(12)
        result = await put_bytes(lab.nodes[2], CONTENT)
        others = holders(lab, result, but=lab.nodes[2])
        for gone in (lab.nodes[2], others[0]):
            lab.crash(gone, silent=silent)
        reader = next(n for n in lab.nodes if n.ports.store.count() == 0)
        assert await get_bytes(reader, result.cid) == CONTENT
        assert reader.ports.store.count() == 0

    tell(story)


def test_with_every_holder_gone_the_error_names_them() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(8)
        result = await put_bytes(lab.nodes[2], CONTENT)
        gone = [lab.nodes[2], *holders(lab, result, but=lab.nodes[2])]
        for node in gone:
            lab.crash(node)
        reader = next(n for n in lab.nodes if n.ports.store.count() == 0)
        with pytest.raises(Unreachable) as caught:
            await get_bytes(reader, result.cid)
        assert set(caught.value.causes) == {format_node(node.node_id) for node in gone}
        with pytest.raises(NotFound):
            await get_bytes(reader, Cid.of(b"nobody put this"))

    tell(story)


@pytest.mark.parametrize("silent", [True, False])
def test_a_holder_that_crashes_while_it_copies_is_replaced(silent: bool) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(10)
        uploader, crashed = lab.nodes[1], list[Node]()

        def progress(step: Progress) -> None:
            others = [node for node in lab.nodes if node is not uploader]
            half_done = [
                n for n in others if n.ports.store.used_bytes and not n.ledger.claims.count_kept(0)
            ]
            if step.phase == "copying" and not crashed:
                crashed.append(half_done[0])
                lab.crash(half_done[0], silent=silent)

        content = random.Random(5).randbytes(12 * MIB)
        result = await put_with(uploader, content, progress=progress)
        check_receipts(lab, result, copies=3)
        assert crashed[0].public_key not in {receipt.public_key for receipt in result.receipts}
        assert list(result.causes) == [format_node(crashed[0].node_id)]
        assert lab.loop.time() < 2 * REQUEST_TIMEOUT_S

    tell(story)


@pytest.mark.parametrize("silent", [True, False])
def test_a_holder_that_crashes_while_it_is_read_costs_its_own_blocks_only(silent: bool) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(10)
        content = random.Random(4).randbytes(12 * MIB)
        result = await put_bytes(lab.nodes[1], content)
        reader = next(n for n in lab.nodes if n.ports.store.count() == 0)
        got, crashed = bytearray(), list[Node]()

        async def write(piece: bytes | memoryview) -> None:
            got.extend(piece)
            if not crashed:
                crashed.append(holders(lab, result, but=reader)[0])
                lab.crash(crashed[0], silent=silent)

        async with reader.fetch_session() as session:
            await read(session, result.cid, (), write)
        assert bytes(got) == content

    tell(story)


def test_many_dead_providers_do_not_hide_the_living_ones() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(16)
        result = await put_bytes(lab.nodes[2], CONTENT, replicas=14)
        assert result.copies == 14
        with_copy = [lab.nodes[2], *holders(lab, result, but=lab.nodes[2])]
        reader = next(n for n in lab.nodes if n not in with_copy)
        [unit] = units_of(lab.nodes[2], result)
        found = await reader.dht.find_providers(unit.key, wanted=64, timeout_s=15)
        for node in with_copy:
            if node.public_key != found.providers[-1].record.signer:
                lab.crash(node)
        assert await get_bytes(reader, result.cid) == CONTENT

    tell(story)


# --- small networks -------------------------------------------------------------------------


def test_alone_a_storage_node_is_the_one_copy_which_is_fine_only_where_that_was_said() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        with pytest.raises(QuorumNotReached, match="no other storage node is known here") as caught:
            await put_bytes(lab.nodes[0], CONTENT)
        assert (caught.value.copies, caught.value.min_acks) == (1, 2)
        result = await put_with(lab.nodes[0], CONTENT, min_acks=1)
        assert (result.copies, result.min_acks) == (1, 1)
        assert (result.hosts, result.subnets) == (1, 1)
        check_receipts(lab, result, copies=1)
        assert await get_bytes(lab.nodes[0], result.cid) == CONTENT

    tell(story)


def test_two_nodes_are_two_copies_and_fewer_than_asked_for_is_an_error_with_the_result() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        result = await put_bytes(lab.nodes[0], CONTENT)
        assert (result.copies, result.min_acks) == (2, 2)
        with pytest.raises(QuorumNotReached) as caught:
            await put_with(lab.nodes[0], b"other bytes", min_acks=3)
        error = caught.value
        assert (error.copies, error.replicas, error.min_acks) == (2, 3, 3)
        assert isinstance(error.partial, PutOutcome)
        check_receipts(lab, error.partial, copies=2)
        assert await get_bytes(lab.nodes[1], error.partial.cid) == b"other bytes"
        assert len(lab.nodes[0].ledger.receipts.for_root(error.partial.cid)) == 2

    tell(story)


def test_the_default_of_min_acks_never_exceeds_the_replicas_of_one_put() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        node = await lab.add(replace(STORAGE, min_acks=3))
        result = await put_with(node, CONTENT, replicas=1)
        assert (result.copies, result.min_acks) == (1, 1)
        assert (await put_with(node, CONTENT, replicas=3)).min_acks == 3

    tell(story)


@pytest.mark.parametrize(("replicas", "min_acks"), [(3, 4), (65, None), (-1, None), (1, -1)])
def test_counts_that_cannot_be_are_refused_before_anything_is_read(
    replicas: int, min_acks: int | None
) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        with pytest.raises(UsageError):
            await put_with(lab.nodes[0], CONTENT, replicas=replicas, min_acks=min_acks)
        assert lab.nodes[0].ports.store.count() == 0

    tell(story)


def test_a_client_alone_has_no_copy_at_all() -> None:
    async def story(lab: Lab) -> None:
        await lab.add(CLIENT)
        with pytest.raises(QuorumNotReached, match="no other storage node"):
            await put_bytes(lab.nodes[0], CONTENT)
        assert lab.nodes[0].ports.store.count() == 0

    tell(story)


# --- clients --------------------------------------------------------------------------------


def test_what_a_client_puts_is_elsewhere_and_only_pins_stay_with_it() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(5)
        client = await lab.add(CLIENT)
        pinned = await put_bytes(lab.nodes[0], b"pinned" * 500_000)
        await pin(client, pinned.cid)
        kept = client.ports.store.count()
        assert kept > 0
        result = await put_bytes(client, CONTENT)
        assert result.copies == 3
        check_receipts(lab, result, copies=3)
        assert client.public_key not in {receipt.public_key for receipt in result.receipts}
        assert client.ports.store.count() == kept
        assert await get_bytes(client, result.cid) == CONTENT
        assert client.ports.store.count() == kept
        lab.crash(lab.nodes[0])
        assert await get_bytes(client, pinned.cid) == b"pinned" * 500_000

    tell(story)


def test_a_client_drops_its_staging_although_a_pinned_block_has_rotted() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        store = FaultyBlockStore(MemoryBlockStore())
        client = await lab.add(CLIENT, store=store)
        pinned = await put_bytes(lab.nodes[0], CONTENT)
        await pin(client, pinned.cid)
        for cid in list(store.cids()):
            store.rot(cid)
        result = await put_bytes(client, b"other bytes")
        assert result.copies == 3
        assert store.count() >= BLOCKS  # what was pinned is not lost for being damaged

    tell(story)


def test_a_put_that_begins_while_another_ends_keeps_its_staging() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        client = await lab.add(CLIENT, blocking=UnevenBlocking())
        puts = []
        for number in range(60):
            puts.append(asyncio.create_task(put_bytes(client, b"put %d" % number)))
            await asyncio.sleep(lab.rng.uniform(0, 8))
        assert {(await each).copies for each in puts} == {3}
        assert client.ports.store.count() == 0

    tell(story)


def test_copies_that_no_index_node_was_told_of_are_no_success() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(6)
        client = await lab.add(replace(CLIENT, ephemeral=True))

        def cut_off(step: Progress) -> None:
            if step.phase == "copying":
                lab.network.drops = lambda source, target, data: True

        with pytest.raises(Unreachable, match="no node took the records"):
            await put_with(client, CONTENT, min_acks=1, progress=cut_off)
        lab.network.drops = None
        assert len(client.ledger.puts.list()) == 1
        result = await put_with(client, CONTENT, min_acks=1)
        assert await get_bytes(lab.nodes[0], result.cid) == CONTENT

    tell(story)


# --- the same bytes again -------------------------------------------------------------------


def test_putting_the_same_bytes_again_moves_nothing_and_renews_the_policy() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(10)
        node = lab.nodes[3]
        first = await put_bytes(node, CONTENT)
        sent_bytes = node.blocks.sent_bytes
        second = await put_bytes(node, CONTENT)
        assert node.blocks.sent_bytes == sent_bytes
        assert {r.policy_seq for r in first.receipts} < {r.policy_seq for r in second.receipts} or (
            max(r.policy_seq for r in first.receipts) < min(r.policy_seq for r in second.receipts)
        )
        assert {r.signer for r in first.receipts} == {r.signer for r in second.receipts}
        check_receipts(lab, second, copies=3)
        stored = node.ledger.receipts.for_root(second.cid)
        assert {r.policy_seq for r in stored} == {r.policy_seq for r in second.receipts}
        assert [record.cid for record in node.ledger.puts.list()] == [second.cid]

    tell(story)


def test_a_policy_is_newer_also_when_the_clock_went_back() -> None:
    async def story(lab: Lab) -> None:
        clock = SimClock(lab.loop, skew_s=86_400)
        await lab.grow(2)
        node = await lab.add(clock=clock)
        first = await put_bytes(node, CONTENT)
        clock.skew_s = 0
        second = await put_bytes(node, CONTENT)
        assert second.copies == 3
        assert second.receipts[0].policy_seq > first.receipts[0].policy_seq

    tell(story)


def test_a_rotten_block_of_our_own_is_written_anew_before_it_is_signed_for() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        store = FaultyBlockStore(MemoryBlockStore())
        node = await lab.add(store=store)
        first = await put_bytes(node, CONTENT)
        used_bytes = store.used_bytes
        for cid in (Cid.of(CONTENT[:MIB]), first.cid):
            store.rot(cid)
        second = await put_bytes(node, CONTENT)
        check_receipts(lab, second, copies=3)
        assert store.get(Cid.of(CONTENT[:MIB])) == CONTENT[:MIB]
        assert store.get(first.cid)
        assert store.used_bytes == used_bytes

    tell(story)


def test_what_is_gone_or_cut_short_is_not_signed_for() -> None:
    store = MemoryBlockStore()

    async def story(lab: Lab) -> None:
        node = await lab.add(store=store)
        result = await put_with(node, CONTENT, min_acks=1)
        [unit] = units_of(node, result)
        policy = policy_of(node, result.cid)
        assert (await own_claim(node.disk, unit, policy)).blocks == BLOCKS
        store.delete([Cid.of(CONTENT[:MIB])])
        with pytest.raises(BlockMissing):
            await own_claim(node.disk, unit, policy)

    tell(story)


def test_a_holder_mends_a_rotten_block_before_it_signs_again() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        store = FaultyBlockStore(MemoryBlockStore())
        await lab.add(store=store)
        await put_bytes(lab.nodes[0], CONTENT)
        rotten = Cid.of(CONTENT[:MIB])
        store.rot(rotten)
        result = await put_bytes(lab.nodes[0], CONTENT)
        assert result.copies == 3
        assert store.get(rotten) == CONTENT[:MIB]

    tell(story)


# --- failure domains ------------------------------------------------------------------------


@pytest.mark.parametrize("putter", ["cellar", "attic"])
def test_copies_avoid_sharing_an_operator_s_failure_domain(putter: str) -> None:
    """Labels stand in contact records, which a lookup does not bring: they must be asked for."""

    async def story(lab: Lab) -> None:
        for label in ("cellar", "cellar", "cellar", "attic", "cellar", "attic", "garden"):
            await lab.add(replace(STORAGE, domain=label))
        node = next(node for node in lab.nodes if node.settings.domain == putter)
        result = await put_bytes(node, CONTENT, replicas=3)
        keys = {receipt.signer for receipt in result.receipts}
        domains = [node.settings.domain for node in lab.nodes if node.public_key in keys]
        assert sorted(domains) == ["attic", "cellar", "garden"]

    tell(story)
