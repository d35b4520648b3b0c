"""Unfinished work of strangers: offers that wait and units that come in, by whoever would rather
hold the places and the room than deliver.  In virtual time; a link is only who it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from dhtstore.errors import PeerRefused
from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.node.copies.open_offers import OpenOffers, Receiving
from dhtstore.node.links.link import Link
from dhtstore.params import (
    GIB,
    KIB,
    MIB,
    OFFERS_OPEN_MAX,
    RATE_MIN_BYTES_PER_S,
    RECEIVE_FAIR_BYTES_PER_S,
    RECEIVE_WAIT_S,
    RECEIVES_MAX,
    REQUEST_TIMEOUT_S,
    RESERVATION_TTL_S,
)
from dhtstore.replication.promises import Promise, too_many
from dhtstore.store.blocks.contract import Reservation
from dhtstore.store.blocks.memory import MemoryBlockStore
from simulations.world.loop.virtual_loop import VirtualLoop, run

CROWD, OTHER, THIRD = "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"


@dataclass(slots=True)
class Scene:
    """A holder's offers over a store of 64 GiB; ``codes`` is how each receive ended."""

    offers: OpenOffers = field(default_factory=OpenOffers)
    store: MemoryBlockStore = field(default_factory=lambda: MemoryBlockStore(64 * GIB))
    tasks: list[asyncio.Task[str]] = field(default_factory=list)
    most: int = 0
    at_work: int = 0
    opened: int = 0

    def open(self, origin: str, stored: int = MIB, *, own: bool = False) -> tuple[Link, int]:
        self.opened += 1
        key = self.opened.to_bytes(32, "big")
        owner, dht = PublicKey(key), DhtKey(key[:20])
        promise = Promise(owner, origin, owner, dht, stored, stored // 4096 + 1, own=own)
        room: Reservation = self.store.reserve(promise.room_bytes)
        link = cast(Link, object())  # only which one it is matters
        return link, self.offers.open(link, promise, room)

    def receive(
        self, origin: str, rate: float = 0, stored: int = MIB, *, own: bool = False
    ) -> asyncio.Task[str]:
        """Another unit from there, delivered at ``rate`` bytes a second, a piece a second."""
        link, number = self.open(origin, stored, own=own)
        task = asyncio.get_running_loop().create_task(self._received(link, number, rate, stored))
        self.tasks.append(task)
        return task

    async def _received(self, link: Link, number: int, rate: float, stored: int) -> str:
        try:
            async with self.offers.receiving(link, number) as receiving:
                self.at_work += 1
                self.most = max(self.most, self.at_work)
                try:
                    await self._deliver(receiving, rate, stored)
                finally:
                    self.at_work -= 1
        except PeerRefused as error:
            return error.code
        return "held"

    async def _deliver(self, receiving: Receiving, rate: float, stored: int) -> None:
        while receiving.pace.delivered_bytes < stored:
            await asyncio.sleep(1)
            if rate:
                receiving.delivered(min(int(rate), stored - receiving.pace.delivered_bytes), 0)
        receiving.complete()


def play(story: Callable[[Scene], Awaitable[None]]) -> None:
    loop = VirtualLoop()

    async def whole() -> None:
        scene = Scene()
        await story(scene)
        for task in scene.tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.sleep(RESERVATION_TTL_S + 1)
        assert scene.store.used_bytes == 0
        assert scene.offers.promises == []

    run(whole(), loop)
    assert loop.unhandled == []


def codes_of(tasks: list[asyncio.Task[str]]) -> list[str]:
    return [task.result() if task.done() else "" for task in tasks]


def test_299_at_once_hold_eight_places_and_no_room_for_longer_than_a_silence() -> None:
    """They deliver nothing.  On the old code all 299 were at work, for as long as they said so."""

    async def story(scene: Scene) -> None:
        tasks = [scene.receive(CROWD) for _ in range(299)]
        await asyncio.sleep(REQUEST_TIMEOUT_S + RECEIVE_WAIT_S + 1)
        assert scene.most == RECEIVES_MAX
        assert set(codes_of(tasks)) == {"slow", "busy"}
        assert scene.store.used_bytes == 0

    play(story)


def test_two_gibibytes_cannot_be_held_for_200_kilobytes() -> None:
    """Two units of 1 GiB, of which a block of 4 KiB comes every 29 s: the issue's 45 minutes."""

    async def story(scene: Scene) -> None:
        tasks = [scene.receive(CROWD, rate=4 * KIB / 29, stored=GIB) for _ in range(2)]
        await asyncio.sleep(REQUEST_TIMEOUT_S + 1)
        assert codes_of(tasks) == ["slow"] * 2
        assert scene.store.used_bytes == 0

    play(story)


def test_whoever_delivers_at_the_least_rate_is_let_be_while_nobody_waits() -> None:
    async def story(scene: Scene) -> None:
        task = scene.receive(CROWD, rate=RATE_MIN_BYTES_PER_S, stored=64 * MIB)
        assert await task == "held"

    play(story)


def test_slow_ones_of_a_crowd_give_way_to_another_origin_within_its_wait() -> None:
    async def story(scene: Scene) -> None:
        crowd = [scene.receive(CROWD, rate=20 * KIB, stored=GIB) for _ in range(RECEIVES_MAX)]
        await asyncio.sleep(60)
        honest = scene.receive(OTHER, rate=MIB, stored=8 * MIB)
        assert await honest == "held"
        assert codes_of(crowd).count("slow") == 1

    play(story)


def test_who_is_fast_enough_never_gives_way() -> None:
    async def story(scene: Scene) -> None:
        rate = 2 * RECEIVE_FAIR_BYTES_PER_S
        crowd = [scene.receive(CROWD, rate=rate, stored=GIB) for _ in range(RECEIVES_MAX)]
        await asyncio.sleep(60)
        honest = scene.receive(OTHER, rate=MIB)
        assert await honest == "busy"
        assert codes_of(crowd) == [""] * RECEIVES_MAX

    play(story)


def test_a_slow_one_that_is_alone_does_not_give_way_to_a_crowd() -> None:
    async def story(scene: Scene) -> None:
        slow = scene.receive(OTHER, rate=20 * KIB, stored=8 * MIB)
        for _ in range(RECEIVES_MAX - 1):
            scene.receive(CROWD, rate=MIB, stored=GIB)
        await asyncio.sleep(60)
        more = [scene.receive(CROWD, rate=MIB, stored=GIB) for _ in range(20)]
        await asyncio.sleep(RECEIVE_WAIT_S + 1)
        assert codes_of(more) == ["busy"] * 20
        assert await slow == "held"

    play(story)


def test_a_place_goes_to_the_origin_that_has_the_fewest() -> None:
    async def story(scene: Scene) -> None:
        crowd = [scene.receive(CROWD, rate=MIB, stored=10 * MIB) for _ in range(RECEIVES_MAX)]
        waiting = [scene.receive(CROWD, rate=MIB, stored=10 * MIB) for _ in range(RECEIVES_MAX)]
        await asyncio.sleep(5)
        late = scene.receive(THIRD, rate=MIB)
        await asyncio.sleep(7)
        assert codes_of(crowd) == ["held"] * RECEIVES_MAX
        assert late.done()
        assert not any(task.done() for task in waiting)

    play(story)


def test_our_own_work_finds_a_place_at_once() -> None:
    async def story(scene: Scene) -> None:
        for _ in range(RECEIVES_MAX):
            scene.receive(CROWD, rate=MIB, stored=GIB)
        await asyncio.sleep(1)
        own = scene.receive(OTHER, rate=MIB, own=True)
        await asyncio.sleep(2)
        assert own.result() == "held"

    play(story)


def test_what_is_complete_is_not_cut_in_two() -> None:
    """Committing and signing may last, whoever waits meanwhile."""

    async def story(scene: Scene) -> None:
        link, number = scene.open(CROWD)
        async with scene.offers.receiving(link, number) as receiving:
            receiving.delivered(MIB, 1)
            receiving.complete()
            receiving.give_way()
            await asyncio.sleep(10 * REQUEST_TIMEOUT_S)

    play(story)


def test_who_gives_up_waiting_leaves_no_place_taken() -> None:
    async def story(scene: Scene) -> None:
        crowd = [scene.receive(CROWD) for _ in range(RECEIVES_MAX)]
        await asyncio.sleep(1)
        waiting = [scene.receive(OTHER) for _ in range(5)]
        await asyncio.sleep(1)
        for task in (*waiting, *crowd):
            task.cancel()
        await asyncio.sleep(0)
        again = [scene.receive(THIRD, rate=MIB) for _ in range(RECEIVES_MAX)]
        await asyncio.sleep(2)
        assert codes_of(again) == ["held"] * RECEIVES_MAX

    play(story)


def test_a_failure_within_comes_out_as_it_is() -> None:
    async def story(scene: Scene) -> None:
        for error in (ValueError("a defect"), TimeoutError("of something within")):
            link, number = scene.open(CROWD)
            with pytest.raises(type(error), match=str(error)):
                async with scene.offers.receiving(link, number):
                    raise error

    play(story)


# --- offers that wait --------------------------------------------------------------------------


def test_where_all_offers_are_taken_the_most_crowded_origin_gives_way() -> None:
    async def story(scene: Scene) -> None:
        for number in range(OFFERS_OPEN_MAX):
            scene.open(f"192.0.{number % 4}.0/24")
        promises = scene.offers.promises
        one = _promise(OTHER)
        assert too_many(promises, one) is not None
        scene.offers.make_way(one)
        assert too_many(scene.offers.promises, one) is None
        assert scene.offers.promises == promises[1:], "the oldest of the first of equals"

    play(story)


def test_where_all_origins_have_alike_nobody_gives_way() -> None:
    async def story(scene: Scene) -> None:
        for number in range(OFFERS_OPEN_MAX):
            scene.open(f"192.0.{number}.0/24")
        for origin in (OTHER, "192.0.7.0/24"):
            scene.offers.make_way(_promise(origin))
        assert len(scene.offers.promises) == OFFERS_OPEN_MAX

    play(story)


def test_room_that_is_only_offered_for_gives_way_to_who_has_less_of_it() -> None:
    async def story(scene: Scene) -> None:
        for origin in (CROWD, "192.0.7.0/24"):
            for _ in range(3):
                scene.open(origin)
        oldest, *others = scene.offers.promises
        assert scene.offers.make_room(_promise(OTHER))
        assert scene.offers.promises == others
        assert not scene.offers.make_room(_promise(oldest.origin, stored_bytes=9 * GIB))

    play(story)


def test_what_is_received_gives_no_room_to_offers() -> None:
    """They cost nothing: whoever makes one must not end what others deliver for."""

    async def story(scene: Scene) -> None:
        slow = [scene.receive(CROWD, rate=40 * KIB, stored=GIB)]
        await asyncio.sleep(60)
        assert not scene.offers.make_room(_promise(OTHER))
        await asyncio.sleep(0.01)
        assert codes_of(slow) == [""]

    play(story)


def _promise(origin: str, **fields: Any) -> Promise:
    key = PublicKey(b"k" * 32)
    usual = {"stored_bytes": MIB, "blocks": 1}
    return Promise(key, origin, key, DhtKey(b"k" * 20), **{**usual, **fields})
