"""Holding for somebody: what is reserved, received, signed for, refused and given back."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace

import pytest
from msgspec.structs import replace as change

from dhtstore.errors import PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import attach, unpack
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk
from dhtstore.node.copies.hold import Holder
from dhtstore.node.keeping.offered_room import OfferedRoom
from dhtstore.node.links.link import Link
from dhtstore.params import KIB, MIB, OFFER_TIMEOUT_S, OFFERS_PER_PEER_MAX, RESERVATION_TTL_S
from dhtstore.replication.admission import Accept
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.wire.frames import Accepted, Held, Release, Released
from tests.bids import Bid, bids_of, declined, have_held
from tests.unit.node.copies_world import (
    add_holder,
    bid_of,
    identity_of,
    only_unit,
    rule_of,
)
from tests.unit.node.data_plane import Peer, World, play

CONTENT = random.Random(3).randbytes(2 * MIB + 1)


@dataclass(slots=True)
class Pair:
    """An uploader that has ``root``, and a holder at the other end of its link."""

    uploader: Peer
    holder: Holder
    peer: Peer
    link: Link
    root: Cid

    @property
    def unit(self) -> Unit:
        return only_unit(self.uploader, self.root)

    @property
    def bid(self) -> Bid:
        return bid_of(self.uploader, self.root)

    @property
    def used_bytes(self) -> int:
        return self.peer.store.used_bytes

    async def accepted(self, bid: Bid | None = None) -> int:
        answer = await self.link.request((bid or self.bid).offer(self.link), Accepted)
        assert answer.expires_s == RESERVATION_TTL_S
        return answer.reservation

    async def offered(self, bid: Bid | None = None) -> str:
        """The code with which an offer is declined, "" if it is not."""
        return await declined(self.link, (bid or self.bid).offer(self.link))

    async def replicated(self, bid: Bid | None = None) -> str:
        """The code with which a unit is declined whose offer was accepted, "" if it is not."""
        bid = bid or self.bid
        return await declined(self.link, bid.replicate(await self.accepted(bid)))


async def pair(world: World) -> Pair:
    uploader = await world.peer("uploader")
    holder = await add_holder(world, "holder")
    peer = world.peers[-1]
    link = await uploader.links.to(peer.key, [peer.address], 5.0)
    return Pair(uploader, holder, peer, link, uploader.hold(CONTENT))


def test_a_unit_is_reserved_for_then_fetched_claimed_and_signed_for() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        reservation = await both.accepted()
        assert both.used_bytes > len(CONTENT)
        held = await both.link.request(both.bid.replicate(reservation), Held)
        receipt = unpack(Receipt, held.receipt)
        provider = unpack(ProviderRecord, held.provider)
        identity_of(both.uploader).check(receipt)
        identity_of(both.uploader).check(provider)
        assert (receipt.unit, receipt.size) == (both.unit.name, len(CONTENT))
        assert receipt.blocks == both.peer.store.count() == 4
        assert provider.key == both.unit.key
        [claim] = both.holder.ledger.claims.for_unit(both.unit.name)
        assert claim.policy == both.bid.policy
        assert claim.stored_bytes == receipt.stored == both.bid.stored
        assert both.used_bytes == both.uploader.store.used_bytes
        assert both.holder.offers.promises == []
        assert "hold.held" in both.peer.events

    play(scene)


def test_the_log_names_a_unit_as_the_user_knows_it() -> None:
    async def scene(world: World) -> None:
        both, told = await pair(world), list[object]()

        def held(event: str, **values: object) -> None:
            told.extend([values.get("unit")] * (event == "hold.held"))

        both.holder.tracer = held
        await both.link.request(both.bid.replicate(await both.accepted()), Held)
        assert told == [str(both.unit.roots[0])]

    play(scene)


class Unsettled(MemoryBlockStore):
    """One that has something left to do after a commit, as that of a disk after a large one."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        super().__init__()
        self.left = 3

    def settle(self) -> bool:
        self.left -= 1
        return self.left > 0


def test_what_a_commit_leaves_to_do_is_done_when_the_receipt_is_sent() -> None:
    async def scene(world: World) -> None:
        both, store, left = await pair(world), Unsettled(), list[int]()
        both.holder.disk = Disk(store, both.peer.blocking)
        tracer = both.holder.tracer

        def held(event: str, **values: object) -> None:
            left.extend([store.left] * (event == "hold.held"))
            tracer(event, **values)

        both.holder.tracer = held
        await both.link.request(both.bid.replicate(await both.accepted()), Held)
        await asyncio.sleep(1)
        assert (left, store.left, store.count()) == ([3], 0, 4)

    play(scene)


def test_a_client_refuses_every_offer() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        both.holder.rule = None
        assert await both.offered() == "client"
        assert both.used_bytes == 0

    play(scene)


def test_what_the_rule_does_not_allow_is_refused_also_for_what_is_promised_already() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        both.holder.rule = rule_of(both.peer, Accept.MINE)
        assert await both.offered() == "owner"
        both.holder.rule = rule_of(both.peer, Accept.ANYONE, len(CONTENT) + 10 * KIB)
        await both.accepted()
        other = bid_of(both.uploader, both.uploader.hold(b"other bytes" * MIB))
        assert await both.offered(other) == "quota"
        await both.accepted()

    play(scene)


def test_what_is_kept_already_is_not_charged_again_when_it_is_offered_again() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        both.holder.rule = rule_of(both.peer, Accept.ANYONE, both.bid.stored + 8 * KIB)
        await have_held(both.link, both.bid)
        await have_held(both.link, both.bid)
        other = bid_of(both.uploader, both.uploader.hold(b"other bytes" * MIB))
        assert await both.offered(other) == "quota"

    play(scene)


def test_room_is_given_back_when_released_when_expired_and_when_the_link_ends() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        reservation = await both.accepted()
        await both.link.request(Release(reservation=reservation), Released)
        assert both.used_bytes == 0
        reservation = await both.accepted()
        await asyncio.sleep(RESERVATION_TTL_S + 0.1)
        assert both.used_bytes == 0
        again = await both.uploader.links.to(both.peer.key, [both.peer.address], 5.0)
        with pytest.raises(PeerRefused):
            await again.request(both.bid.replicate(reservation), Held)
        await again.request(both.bid.offer(again), Accepted)
        for link in both.peer.links.open_links():
            both.holder.link_ended(link)
        assert both.used_bytes == 0

    play(scene)


def test_a_reservation_is_used_once_and_only_by_the_link_it_was_made_for() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        reservation = await both.accepted()
        thief = await world.peer("thief")
        link = await thief.links.to(both.peer.key, [both.peer.address], 5.0)
        for request, answer in (
            (both.bid.replicate(reservation), Held),
            (Release(reservation=reservation), Released),
        ):
            with pytest.raises(PeerRefused, match="no such reservation"):
                await link.request(request, answer)
        await both.link.request(both.bid.replicate(reservation), Held)
        assert await declined(both.link, both.bid.replicate(reservation)) == "reservation"

    play(scene)


def test_several_owners_have_one_unit_held_each_under_its_own_policy() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        other = identity_of(await world.peer("other"))
        [theirs] = bids_of(other, both.uploader.store, both.root)
        for bid in (theirs, both.bid):
            held = await have_held(both.link, bid)
            assert unpack(Receipt, held.receipt).owner == bid.policy.owner
        assert len(list(both.holder.ledger.claims.for_unit(both.unit.name))) == 2

    play(scene)


@pytest.mark.parametrize("root", [b"", b"no CID", bytes(400)])
def test_a_policy_for_a_root_that_is_no_cid_is_refused_before_anything_is_kept(root: bytes) -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        policy = Policy(both.uploader.crypto.owner.public_key, root, 1, 3, 0, removed=False)
        signed = identity_of(both.uploader).sign_as_owner(policy)
        assert await both.replicated(replace(both.bid, policy=signed)) == "invalid-cid"
        assert both.used_bytes == 0

    play(scene)


def test_a_policy_that_its_owner_did_not_sign_is_refused() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        policy = both.bid.policy
        forged = attach(change(policy, replicas=64), policy.signature)
        assert await both.replicated(replace(both.bid, policy=forged)) == "invalid-signature"
        assert both.used_bytes == 0

    play(scene)


def test_offers_of_another_link_outlive_one_that_ends() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        other = await world.peer("other")
        ending = await other.links.to(both.peer.key, [both.peer.address], 5.0)
        reservation = await both.accepted()
        await ending.request(both.bid.offer(ending), Accepted)
        links = {link.public_key: link for link in both.peer.links.open_links()}
        both.holder.link_ended(links[other.key])
        assert [each.peer for each in both.holder.offers.promises] == [both.uploader.key]
        await both.link.request(both.bid.replicate(reservation), Held)

    play(scene)


def test_one_peer_may_have_so_many_offers_open_and_no_more() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        for _ in range(OFFERS_PER_PEER_MAX):
            await both.accepted()
        assert await both.offered() == "busy"

    play(scene)


def test_one_offer_may_reserve_all_that_fits_and_says_what_is_there_if_it_does_not() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        await both.accepted()
        [promise] = both.holder.offers.promises
        room_bytes = promise.room_bytes
        both.holder.link_ended(both.peer.links.open_links()[0])
        both.holder.disk = Disk(MemoryBlockStore(room_bytes - 1), both.peer.blocking)
        assert await both.offered() == "room"
        both.holder.disk = Disk(MemoryBlockStore(room_bytes), both.peer.blocking)
        await both.accepted()

    play(scene)


def test_an_offer_that_needs_a_collection_holds_nobody_up_and_it_goes_on_without() -> None:
    async def scene(world: World) -> None:
        both, asked = await pair(world), list[int]()
        begun, may_end = asyncio.Event(), asyncio.Event()
        small = await _small_bid(both)
        small_bytes = await _room_of(both, small)
        large_bytes = await _room_of(both, both.bid)
        store = MemoryBlockStore(large_bytes + small_bytes)
        cached = store.reserve(large_bytes)

        async def make_room(size_bytes: int) -> bool:
            asked.append(size_bytes)
            begun.set()
            await may_end.wait()
            cached.release()
            return True

        both.holder.disk = Disk(store, both.peer.blocking, make_room=make_room)
        both.holder.room = OfferedRoom(both.holder.disk, both.peer.supervisor).made
        began_s = world.loop.time()
        waiting = asyncio.ensure_future(both.offered())
        await begun.wait()
        assert await both.offered(small) == ""
        assert world.loop.time() - began_s < 1
        assert await waiting == "room"
        assert world.loop.time() - began_s < OFFER_TIMEOUT_S
        may_end.set()
        assert await both.offered() == ""
        assert len(asked) == 1
        assert asked[0] >= large_bytes

    play(scene)


async def _small_bid(both: Pair) -> Bid:
    return bid_of(both.uploader, both.uploader.hold(b"small"))


async def _room_of(both: Pair, bid: Bid) -> int:
    """What is set aside for it."""
    number = await both.accepted(bid)
    room_bytes = both.holder.offers.promises[-1].room_bytes
    await both.link.request(Release(reservation=number), Released)
    return room_bytes
