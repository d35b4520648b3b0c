"""Put, get and pin cancelled anywhere, and nodes stopped under them: nothing stays behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest

from dhtstore.errors import DhtstoreError
from dhtstore.model.block import stored_bytes
from dhtstore.model.cid import Cid
from dhtstore.node.node import Node
from dhtstore.params import MIB, RESERVATION_TTL_S
from dhtstore.store.blocks.contract import Reservation
from dhtstore.store.blocks.memory import MemoryBatch, MemoryBlockStore
from dhtstore.store.blocks.quota import own_room
from dhtstore.wire.frames import Accepted
from simulations.events.users import get_bytes, put_bytes
from simulations.world.ports.blocking import InlineBlocking
from tests.bids import bid_for_block
from tests.simulation.harness import (
    CLIENT,
    STORAGE,
    Lab,
    address_of,
    check_receipts,
    pin,
    tell,
)

T = TypeVar("T")
CONTENT = random.Random(3).randbytes(2 * MIB + 1)
TRIALS = 200
ENDS_WITHIN_S = 120.0


class CountingStore(MemoryBlockStore):
    """Knows which batches and reservations are open."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    def batch(self, reservation: Reservation | None = None, *, whole: bool = False) -> MemoryBatch:
        self.batches += 1
        return _CountedBatch(self, own_room(reservation), whole=whole)

    @property
    def reserved_bytes(self) -> int:
        return self._quota.reserved_bytes

    @property
    def block_bytes(self) -> int:
        cids = list(self.cids())
        sizes = zip(cids, self.sizes(cids), strict=True)
        return sum(stored_bytes(cid, size or 0) for cid, size in sizes)


class _CountedBatch(MemoryBatch):
    def close(self) -> None:
        assert isinstance(self._store, CountingStore)
        self._store.batches -= not self._closed
        super().close()


class SlowBlocking(InlineBlocking):
    """Each piece of disk work takes a moment, so that it can be cancelled there."""

    def __init__(self) -> None:
        super().__init__()
        self.delay_s = 0.03


async def grow(lab: Lab) -> None:
    for settings in [STORAGE] * 5 + [CLIENT]:
        await lab.add(settings, store=CountingStore(), blocking=SlowBlocking())


def check_nothing_open(lab: Lab, nodes: Sequence[Node] = ()) -> None:
    for node in nodes or lab.nodes:
        store = node.ports.store
        assert isinstance(store, CountingStore)
        assert store.batches == 0
        assert store.reserved_bytes == 0
        assert store.used_bytes == store.block_bytes


async def ended(work: asyncio.Future[Any]) -> None:
    """Wait for a task that was cancelled or whose node was stopped; it may have been done."""
    async with asyncio.timeout(ENDS_WITHIN_S):
        await asyncio.wait([work])
    if not work.cancelled() and (error := work.exception()) is not None:
        assert isinstance(error, DhtstoreError), repr(error)


async def duration_s(lab: Lab, work: Awaitable[object]) -> float:
    start_s = lab.loop.time()
    await work
    return lab.loop.time() - start_s


UserAction = Callable[[Node, Cid, bytes], Awaitable[object]]
OPERATIONS: dict[str, UserAction] = {
    "put": lambda node, root, data: put_bytes(node, data),
    "get": lambda node, root, data: get_bytes(node, root),
    "pin": lambda node, root, data: pin(node, root),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("client", [True, False])
def test_cancelled_anywhere_nothing_stays_open_and_a_repeat_succeeds(
    name: str, client: bool
) -> None:
    operate = OPERATIONS[name]

    async def story(lab: Lab) -> None:
        await grow(lab)
        node = lab.nodes[5 if client else 4]
        whole_s = 0.0
        for trial in range(TRIALS // len(OPERATIONS) // 2 + 1):
            content = b"%d" % trial + CONTENT
            root = (await put_bytes(lab.nodes[trial % 4], content, replicas=2)).cid
            if not whole_s:
                whole_s = await duration_s(lab, operate(node, root, content + b"x"))
            work: asyncio.Task[object] = asyncio.ensure_future(operate(node, root, content + b"y"))
            await asyncio.sleep(lab.rng.uniform(0, whole_s))
            work.cancel()
            await ended(work)
            await asyncio.sleep(RESERVATION_TTL_S + 1)  # and what was on its way
            check_nothing_open(lab)
            await operate(node, root, content + b"y")
            assert not client or name == "pin" or node.ports.store.count() == 0
        assert 0.1 < whole_s < 30
        check_nothing_open(lab)

    tell(story)


def test_a_put_that_is_cancelled_gives_back_at_once_what_was_reserved_for_it() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab)
        whole_s = await duration_s(lab, put_bytes(lab.nodes[4], CONTENT))
        reserving = 0
        for trial in range(60):
            work = asyncio.ensure_future(put_bytes(lab.nodes[4], b"%d" % trial + CONTENT))
            await asyncio.sleep(whole_s * trial / 60)
            stores = [
                node.ports.store
                for node in lab.nodes
                if isinstance(node.ports.store, CountingStore)
            ]
            reserving += any(store.reserved_bytes for store in stores)
            work.cancel()
            await ended(work)
            await asyncio.sleep(RESERVATION_TTL_S / 10)
            check_nothing_open(lab)
        assert reserving

    tell(story)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_node_that_stops_ends_what_it_does(name: str) -> None:
    operate = OPERATIONS[name]

    async def story(lab: Lab) -> None:
        await grow(lab)
        root = (await put_bytes(lab.nodes[1], CONTENT, replicas=2)).cid
        whole_s = await duration_s(lab, operate(lab.nodes[5], root, b"x" + CONTENT))
        for trial in range(15):
            node = await lab.add(store=CountingStore(), blocking=SlowBlocking())
            content = b"%d" % trial + CONTENT
            work: asyncio.Task[object] = asyncio.ensure_future(operate(node, root, content))
            await asyncio.sleep(lab.rng.uniform(0, whole_s))
            await node.stop()
            await ended(work)
            await asyncio.sleep(RESERVATION_TTL_S + 1)  # and what was on its way
            check_nothing_open(lab)
        result = await put_bytes(lab.nodes[0], b"still well")
        check_receipts(lab, result, copies=3)

    tell(story)


def test_a_holder_that_stops_while_it_copies_is_replaced_at_once() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab)
        for trial in range(8):
            holders = [await lab.add(store=CountingStore()) for _ in range(2)]
            work = asyncio.ensure_future(put_bytes(lab.nodes[0], b"%d" % trial + CONTENT))
            await asyncio.sleep(lab.rng.uniform(0, 1.5))
            for holder in holders:
                await holder.stop()
            start_s = lab.loop.time()
            result = await work
            assert result.copies == 3
            assert lab.loop.time() - start_s < 20
        check_nothing_open(lab)

    tell(story)


class SlowToReturn(InlineBlocking):
    """A thread that has done its work before its caller learns of it."""

    async def run(self, function: Callable[..., T], *args: object) -> T:
        result = function(*args)
        await asyncio.sleep(0.2)
        return result


def test_room_reserved_for_an_offer_that_was_withdrawn_is_given_back() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        holder = await lab.add(store=CountingStore(), blocking=SlowToReturn())
        link = await lab.nodes[0].links.to(holder.public_key, [address_of(holder)], 5.0)
        offer = bid_for_block(lab.nodes[0].identity, bytes(MIB)).offer(link)
        for step in range(12):
            work = asyncio.ensure_future(link.request(offer, Accepted))
            await asyncio.sleep(0.1 * step)
            work.cancel()
            await ended(work)
            await asyncio.sleep(1)
        await asyncio.sleep(RESERVATION_TTL_S)
        check_nothing_open(lab, lab.nodes[1:])

    tell(story)
