"""Put and get among whole nodes: what is signed is there, and what fails is replaced or told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from dhtstore.errors import NotFound, QuorumNotReached, Unreachable
from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node
from dhtstore.node.node import Node
from dhtstore.node.pin import pin_add
from dhtstore.node.progress import Progress, ProgressSink, no_progress
from dhtstore.node.put import PutResult, put
from dhtstore.node.read import read
from dhtstore.params import MIB, REQUEST_TIMEOUT_S
from dhtstore.replication.admission import Accept
from dhtstore.store.faulty import FaultyBlockStore
from dhtstore.store.memory import MemoryBlockStore
from simulations.ports import InlineBlocking
from simulations.world import get_bytes, put_bytes
from tests.simulation.lab import (
    CLIENT,
    STORAGE,
    Lab,
    check_receipts,
    providers_seen,
    small,
    tell,
    units_of,
)

T = TypeVar("T")
CONTENT = random.Random(3).randbytes(5 * MIB // 2)
BLOCKS = 4  # three leaves and their parent


async def put_with(
    node: Node,
    data: bytes,
    *,
    replicas: int = 3,
    min_acks: int | None = None,
    progress: ProgressSink = no_progress,
) -> PutResult:
    async def once() -> AsyncIterator[bytes]:
        yield data

    return await put(
        node, once(), name="b", replicas=replicas, min_acks=min_acks, progress=progress
    )


def holders(lab: Lab, result: PutResult, *, but: Node) -> list[Node]:
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


def test_a_holder_that_crashes_while_it_copies_is_replaced() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(10)
        crashed: list[Node] = []

        def progress(step: Progress) -> None:
            working = [n for n in lab.nodes[1:] if n is not lab.nodes[1] and n.links.open_links()]
            busy = [n for n in working if any(link.busy for link in n.links.open_links())]
            if step.phase == "copying" and not crashed and busy:
                crashed.append(busy[0])
                lab.crash(busy[0])

        result = await put_with(lab.nodes[1], CONTENT * 4, progress=progress)
        assert len(crashed) == 1
        assert result.copies == 3
        check_receipts(lab, result, copies=3)
        assert crashed[0].public_key not in {r.public_key for r in result.receipts}
        assert list(result.causes) == [format_node(crashed[0].node_id)]
        assert lab.loop.time() < 3 * REQUEST_TIMEOUT_S

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

        await read(reader, result.cid, (), write)
        assert bytes(got) == content

    tell(story)


# --- small networks -------------------------------------------------------------------------


def test_alone_a_storage_node_is_the_one_copy() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        result = await put_bytes(lab.nodes[0], CONTENT)
        assert (result.copies, result.min_acks) == (1, 1)
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
        assert (error.copies, error.wanted, error.min_acks) == (2, 3, 3)
        assert isinstance(error.partial, PutResult)
        check_receipts(lab, error.partial, copies=2)
        assert await get_bytes(lab.nodes[1], error.partial.cid) == b"other bytes"
        assert len(lab.nodes[0].receipts.for_root(error.partial.cid)) == 2

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
        await pin_add(client, pinned.cid, "kept", no_progress)
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
        store = FaultyBlockStore(MemoryBlockStore(), random.Random(1))
        client = await lab.add(CLIENT, store=store)
        pinned = await put_bytes(lab.nodes[0], CONTENT)
        await pin_add(client, pinned.cid, "kept", no_progress)
        for cid in list(store.cids()):
            store.rot(cid)
        result = await put_bytes(client, b"other bytes")
        assert result.copies == 3
        assert store.count() >= BLOCKS  # what was pinned is not lost for being damaged

    tell(story)


class UnevenBlocking(InlineBlocking):
    """A disk that takes its time now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = random.Random(5)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        self.delay_s = self.rng.choice([0.001, 1.0])
        return await super().run(function, *args)


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


# --- refusals -------------------------------------------------------------------------------


def test_a_full_holder_is_passed_over() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        full = [await lab.add(small(MIB), store=MemoryBlockStore(MIB)) for _ in range(4)]
        result = await put_bytes(lab.nodes[0], CONTENT, replicas=4)
        check_receipts(lab, result, copies=4)
        names = {format_node(node.node_id) for node in full}
        assert set(result.causes) <= names
        assert all("bytes are used" in why for why in result.causes.values())
        with pytest.raises(QuorumNotReached, match="no room for"):
            await put_with(lab.nodes[0], CONTENT + b"x", replicas=8, min_acks=5)

    tell(story)


@pytest.mark.parametrize(
    ("settings", "taken", "why"),
    [
        ({"accept": Accept.MINE}, False, "only its own owner's data"),
        ({"accept": Accept.OWNERS}, False, "not on this node's list"),
        ({"accept": Accept.OWNERS, "owners": None}, True, ""),
        ({"accept": Accept.NETWORK, "owner_quota_bytes": 0}, True, ""),
        ({"accept": Accept.ANYONE, "owner_quota_bytes": 1000}, False, "quota of 1000 bytes"),
        ({"accept": Accept.ANYONE, "owner_quota_bytes": 3 * MIB}, True, ""),
    ],
)
def test_who_may_use_a_disk(settings: dict[str, object], taken: bool, why: str) -> None:
    async def story(lab: Lab) -> None:
        node = await lab.add()
        if "owners" in settings:
            settings["owners"] = frozenset([node.ports.crypto.owner.public_key])
        holder = await lab.add(replace(STORAGE, **settings))  # type: ignore[arg-type]
        result = await put_with(node, CONTENT, min_acks=1)
        assert result.copies == 1 + taken
        assert [format_node(holder.node_id)] * (not taken) == list(result.causes)
        assert all(why in cause for cause in result.causes.values())

    tell(story)
