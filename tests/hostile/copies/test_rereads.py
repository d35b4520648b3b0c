"""What a node has already is not read again without end for who delivers nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.node.copies import rereads
from dhtstore.node.copies.rereads import Rereads
from dhtstore.node.links.link import Link
from dhtstore.params import GIB, MIB, REREAD_AT_ONCE_BYTES, REREAD_BLOCK_BYTES, REREAD_BYTES_PER_S
from dhtstore.store.blocks.memory import MemoryBlockStore
from tests.bids import Bid, declined, have_accepted, have_held
from tests.unit.node.copies_world import add_holder, bid_of
from tests.unit.node.data_plane import World, play


def test_an_origin_has_a_ration_that_comes_back_with_time() -> None:
    ration = Rereads()
    assert ration.take("a", REREAD_AT_ONCE_BYTES, 1, 0.0)
    assert not ration.take("a", 1, 0, 0.0)
    assert ration.take("b", 1, 1, 0.0)
    assert ration.take("a", REREAD_BYTES_PER_S, 0, 2.0)
    assert not ration.take("a", 2 * REREAD_BYTES_PER_S, 0, 3.0)


def test_small_blocks_count_as_what_they_take_to_read() -> None:
    ration = Rereads()
    most = REREAD_AT_ONCE_BYTES // REREAD_BLOCK_BYTES
    assert ration.take("a", most, most, 0.0)
    assert not ration.take("a", 1, 1, 0.0)


def test_so_many_origins_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rereads, "_ORIGINS_MAX", 3)
    ration = Rereads()
    for number in range(9):
        ration.take(f"{number}", REREAD_AT_ONCE_BYTES, 1, 0.0)
    assert not ration.take("8", 1, 1, 0.0)
    assert ration.take("1", 1, 1, 0.0)


CONTENT = b"".join(number.to_bytes(2, "big") * (MIB // 2) for number in range(16))


class CountingStore(MemoryBlockStore):
    """Counts the blocks that are read and verified."""

    __slots__ = ("verified",)

    def __init__(self) -> None:
        super().__init__(GIB)
        self.verified = 0

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        self.verified += 1
        return super().get(cid)


@dataclass(slots=True)
class Cast:
    """A holder that has a unit, and a stranger that knows it."""

    store: CountingStore
    link: Link
    bid: Bid

    async def offered(self, bid: Bid) -> str:
        return await declined(self.link, bid.replicate(await have_accepted(self.link, bid)))


def stage(scene: Callable[[Cast], Awaitable[None]]) -> None:
    async def whole(world: World) -> None:
        owner, holder = await world.peer("owner"), await add_holder(world, "holder")
        machine, stranger = world.peers[-1], await world.peer("stranger")
        store = CountingStore()
        holder.disk = Disk(store, machine.blocking)
        own = await owner.links.to(machine.key, [machine.address], 5.0)
        await have_held(own, bid_of(owner, owner.hold(CONTENT)))
        store.verified = 0
        root = stranger.hold(CONTENT)
        link = await stranger.links.to(machine.key, [machine.address], 5.0)
        await scene(Cast(store, link, bid_of(stranger, root)))

    play(whole)


def test_a_unit_that_is_here_is_not_hashed_for_a_stranger_as_often_as_it_likes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rereads, "REREAD_AT_ONCE_BYTES", 40 * MIB)

    async def scene(cast: Cast) -> None:
        codes = [await cast.offered(cast.bid) for _ in range(6)]
        assert codes[:2] == ["", ""]
        assert codes[3:] == ["slow"] * 3

    stage(scene)


def test_a_unit_larger_than_offered_is_refused_before_all_of_it_was_read() -> None:
    async def scene(cast: Cast) -> None:
        assert await cast.offered(replace(cast.bid, stored=MIB, blocks=1)) == "malformed-dag"
        assert cast.store.verified < 16

    stage(scene)
