"""What is received is no more than was reserved, and stays only if it is kept for somebody."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from dhtstore.errors import ConnectionLost
from dhtstore.model.block import Block, stored_bytes
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim
from dhtstore.node.copies.kept import settle_pending
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import GIB, KIB, MIB
from dhtstore.replication.admission import Accept
from dhtstore.wire.frames import Accepted, GetBlocks, Held
from tests.bids import Bid, declined, have_held
from tests.hostile.copies.bad_units import bid_for, directory_of, file_of
from tests.unit.node.copies_world import ScriptedHolder, add_holder, bid_of, rule_of
from tests.unit.node.data_plane import Peer, World, play

REFUSED = ("no-room", "malformed-dag")  # by the store or by the walk, whichever hears of it first


@dataclass(slots=True)
class Cast:
    """A stranger, and a holder that takes from anyone."""

    stranger: Peer
    holder: ScriptedHolder
    machine: Peer
    link: Link

    async def refused(self, bid: Bid) -> str:
        accepted = await self.link.request(bid.offer(self.link), Accepted)
        return await declined(self.link, bid.replicate(accepted.reservation))

    def check_nothing_kept(self) -> None:
        assert self.machine.store.count() == self.machine.store.used_bytes == 0
        claims = self.holder.ledger.claims
        assert claims.count_kept(0) == claims.ledger_bytes() == 0
        assert claims.pending() == []


def stage(scene: Callable[[Cast], object]) -> None:
    async def whole(world: World) -> None:
        stranger, holder = await world.peer("stranger"), await add_holder(world, "holder")
        machine = world.peers[-1]
        holder.rule = rule_of(machine, Accept.ANYONE, quota_bytes=GIB)
        link = await stranger.links.to(machine.key, [machine.address], 5.0)
        await scene(Cast(stranger, holder, machine, link))  # type: ignore[misc]

    play(whole)


def parts(count: int, size_bytes: int) -> list[Block]:
    return [Block.of(number.to_bytes(4, "big") * (size_bytes // 4)) for number in range(count)]


def asked(peer: Peer, requests: int) -> asyncio.Event:
    """Set when ``peer`` was asked for blocks so many times."""
    count, event = itertools.count(1), asyncio.Event()

    async def serve(link: Link, request: GetBlocks, reply: Reply) -> None:
        if next(count) == requests:
            event.set()
        await peer.server.serve(link, request, reply)

    peer.handlers[GetBlocks] = serve
    return event


def file_bid(peer: Peer, leaves: list[Block]) -> Bid:
    root = file_of([(leaf.cid, len(leaf.data)) for leaf in leaves])
    return bid_for(peer, root, sum(len(leaf.data) for leaf in leaves), leaves)


@pytest.mark.parametrize("stored", [0, -1])
def test_an_offer_of_nothing_reserves_nothing(stored: int) -> None:
    async def scene(cast: Cast) -> None:
        bid = replace(file_bid(cast.stranger, parts(2, KIB)), stored=max(stored, 0))
        assert await declined(cast.link, bid.offer(cast.link)) == "size"
        assert cast.holder.offers.promises == []

    stage(scene)


def test_a_unit_longer_than_offered_is_refused_when_it_passes_what_was_reserved() -> None:
    async def scene(cast: Cast) -> None:
        bid = replace(file_bid(cast.stranger, parts(64, MIB)), stored=256 * KIB, blocks=1)
        assert await cast.refused(bid) in REFUSED
        assert cast.stranger.server.sent_bytes < 40 * MIB, "it was not received to its end"
        cast.check_nothing_kept()

    stage(scene)


def test_blocks_that_are_here_do_not_make_room_for_others() -> None:
    """What is stored takes nothing of a reservation, but is part of what is signed for."""

    async def scene(cast: Cast) -> None:
        leaves = parts(8, 64 * KIB)
        await have_held(cast.link, file_bid(cast.stranger, leaves[:7]))
        before = cast.machine.store.used_bytes
        bid = replace(file_bid(cast.stranger, leaves), stored=100 * KIB, blocks=9)
        assert await cast.refused(bid) == "malformed-dag"
        assert cast.machine.store.used_bytes == before

    stage(scene)


def test_of_a_unit_that_is_malformed_at_its_end_nothing_stays() -> None:
    async def scene(cast: Cast) -> None:
        leaves = parts(16, 256 * KIB)
        short = Block.of(b"shorter than its parent claims")
        root = file_of([*((leaf.cid, len(leaf.data)) for leaf in leaves), (short.cid, 99)])
        bid = bid_for(cast.stranger, root, 16 * 256 * KIB + 99, [*leaves, short])
        assert await cast.refused(bid) == "malformed-dag"
        cast.check_nothing_kept()

    stage(scene)


def test_of_a_unit_whose_uploader_goes_away_nothing_stays() -> None:
    async def scene(cast: Cast) -> None:
        bid, busy = file_bid(cast.stranger, parts(32, MIB)), asked(cast.stranger, 5)
        accepted = await cast.link.request(bid.offer(cast.link), Accepted)
        asking = asyncio.ensure_future(cast.link.request(bid.replicate(accepted.reservation), Held))
        await busy.wait()
        await cast.link.close()
        with pytest.raises(ConnectionLost):
            await asking
        await asyncio.sleep(60)
        cast.check_nothing_kept()
        assert cast.holder.offers.promises == []

    stage(scene)


def test_what_something_else_keeps_stays() -> None:
    async def scene(cast: Cast) -> None:
        leaves = parts(4, KIB)
        await have_held(cast.link, file_bid(cast.stranger, leaves))
        before = cast.machine.store.used_bytes
        short = Block.of(b"shorter than its parent claims")
        root = file_of([*((leaf.cid, KIB) for leaf in leaves), (short.cid, 99)])
        bid = bid_for(cast.stranger, root, 4 * KIB + 99, [*leaves, short])
        assert await cast.refused(bid) == "malformed-dag"
        assert cast.machine.store.used_bytes == before
        assert all(cast.machine.store.has(leaf.cid) for leaf in leaves)

    stage(scene)


def test_interior_blocks_are_charged_as_what_they_take() -> None:
    """Forty directories of 64 KiB of names, with nothing in their one empty file."""

    async def scene(cast: Cast) -> None:
        empty = Block.of(b"")
        below = [
            directory_of([(f"{n:04}{number:04}" * 100, empty.cid, 0) for n in range(80)])
            for number in range(40)
        ]
        root = directory_of([(f"{n}", block.cid, 80) for n, block in enumerate(below)])
        bid = bid_for(cast.stranger, root, 40 * 80, [empty, *below])
        taken = sum(stored_bytes(block.cid, len(block.data)) for block in (root, empty, *below))
        assert taken > 2.5 * MIB
        cast.holder.rule = rule_of(cast.machine, Accept.ANYONE, quota_bytes=MIB)
        assert await declined(cast.link, bid.offer(cast.link)) == "quota"
        assert await cast.refused(replace(bid, stored=MIB // 2, blocks=9)) in REFUSED
        cast.check_nothing_kept()
        cast.holder.rule = rule_of(cast.machine, Accept.ANYONE, quota_bytes=3 * taken)
        await have_held(cast.link, bid)
        [claim] = cast.holder.ledger.claims.for_unit(bid.unit.name)
        assert claim.charged_bytes == claim.stored_bytes == taken

    stage(scene)


@pytest.mark.parametrize("are_here", [False, True])
def test_what_a_crash_interrupted_is_settled(are_here: bool) -> None:
    """Between the claim that was written down and its blocks."""

    async def scene(cast: Cast) -> None:
        bid = bid_of(cast.stranger, cast.stranger.hold(b"hello" * 1000))
        claims, store = cast.holder.ledger.claims, cast.machine.store
        claims.begin(claim_for(bid), 1_800_000_000)
        if are_here:
            cast.machine.hold(b"hello" * 1000)
        settle_pending(claims, store)
        assert claims.pending() == []
        assert claims.count_kept(0) == int(are_here)
        assert (claims.ledger_bytes() > 0) == are_here

    stage(scene)


def claim_for(bid: Bid) -> Claim:
    roots = tuple(root.raw for root in bid.unit.roots)
    size_bytes = bid.unit.size_bytes
    return Claim(
        bid.unit.name, roots, False, size_bytes, bid.blocks, bid.policy, bid.stored, "10.0.0.0/24"
    )


def test_a_unit_is_readable_only_once_it_is_claimed() -> None:
    async def scene(cast: Cast) -> None:
        leaves = parts(32, MIB)
        bid, busy = file_bid(cast.stranger, leaves), asked(cast.stranger, 8)
        accepted = await cast.link.request(bid.offer(cast.link), Accepted)
        asking = asyncio.ensure_future(cast.link.request(bid.replicate(accepted.reservation), Held))
        await busy.wait()
        assert cast.machine.store.count() == 0
        assert not any(cast.machine.store.has(leaf.cid) for leaf in leaves)
        await asking
        assert cast.machine.store.count() == 33
        assert cast.machine.store.has(Cid.of(bytes(leaves[-1].data)))

    stage(scene)
