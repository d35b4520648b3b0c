"""Holding for somebody: what is reserved, received, signed for, refused and given back."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

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
from dhtstore.node.links.link import Link
from dhtstore.params import KIB, MIB, OFFERS_PER_PEER_MAX, RESERVATION_TTL_S
from dhtstore.replication.admission import Accept
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.wire.frames import Accepted, Held, Offer, Release, Released, Replicate
from tests.unit.node.copies_world import (
    add_holder,
    identity_of,
    offer_of,
    only_unit,
    policy_of,
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
    def policy(self) -> Policy:
        return policy_of(self.uploader, self.root)

    @property
    def offer(self) -> Offer:
        return offer_of(self.unit, self.policy)

    @property
    def used_bytes(self) -> int:
        return self.peer.store.used_bytes

    async def accepted(self, offer: Offer | None = None) -> int:
        answer = await self.link.request(offer or self.offer, Accepted)
        assert answer.expires_s == RESERVATION_TTL_S
        return answer.reservation

    async def declined(self, request: Offer | Replicate) -> str:
        with pytest.raises(PeerRefused) as refused:
            await self.link.request(request, Accepted if isinstance(request, Offer) else Held)
        return refused.value.code


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
        held = await both.link.request(Replicate(reservation=reservation), Held)
        receipt = unpack(Receipt, held.receipt)
        provider = unpack(ProviderRecord, held.provider)
        identity_of(both.uploader).check(receipt)
        identity_of(both.uploader).check(provider)
        assert (receipt.unit, receipt.size) == (both.unit.name, len(CONTENT))
        assert receipt.blocks == both.peer.store.count() == 4
        assert provider.key == both.unit.key
        [claim] = both.holder.ledger.claims.for_unit(both.unit.name)
        assert claim.policy.packed == both.offer.policy
        assert both.used_bytes == both.uploader.store.used_bytes
        assert both.holder.offers.promises == []
        assert "hold.held" in both.peer.events

    play(scene)


def test_a_client_refuses_every_offer() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        both.holder.rule = None
        assert await both.declined(both.offer) == "client"
        assert both.used_bytes == 0

    play(scene)


def test_what_the_rule_does_not_allow_is_refused_also_for_what_is_promised_already() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        both.holder.rule = rule_of(both.peer, Accept.MINE)
        assert await both.declined(both.offer) == "owner"
        both.holder.rule = rule_of(both.peer, Accept.ANYONE, len(CONTENT) + 64 * KIB)
        await both.accepted()
        other = both.uploader.hold(b"other bytes" * MIB)
        unit = only_unit(both.uploader, other)
        assert await both.declined(offer_of(unit, policy_of(both.uploader, other))) == "quota"
        await both.accepted()

    play(scene)


def test_a_unit_that_turns_out_larger_than_it_was_offered_is_not_signed_for() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        both.holder.rule = rule_of(both.peer, Accept.ANYONE, MIB)
        smaller = Unit.of(both.unit.roots, 0)
        offer = offer_of(smaller, policy_of(both.uploader, both.root))
        reservation = await both.accepted(offer)
        assert await both.declined(Replicate(reservation=reservation)) == "no-room"
        assert both.holder.ledger.claims.count_kept(0) == 0
        assert both.holder.offers.promises == []

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
            await again.request(Replicate(reservation=reservation), Held)
        await again.request(both.offer, Accepted)
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
            (Replicate(reservation=reservation), Held),
            (Release(reservation=reservation), Released),
        ):
            with pytest.raises(PeerRefused, match="no such reservation"):
                await link.request(request, answer)
        await both.link.request(Replicate(reservation=reservation), Held)
        assert await both.declined(Replicate(reservation=reservation)) == "reservation"

    play(scene)


def test_a_receipt_is_for_the_policy_that_the_owner_signed() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        strange = policy_of(await world.peer("stranger"), both.root)
        forged = offer_of(both.unit, strange)
        held = await both.link.request(Replicate(reservation=await both.accepted(forged)), Held)
        assert unpack(Receipt, held.receipt).owner == strange.owner
        reservation = await both.accepted()
        again = await both.link.request(Replicate(reservation=reservation), Held)
        assert unpack(Receipt, again.receipt).owner == both.policy.owner
        assert len(both.holder.ledger.claims.for_unit(both.unit.name)) == 2

    play(scene)


@pytest.mark.parametrize("root", [b"", b"no CID", bytes(400)])
def test_a_policy_for_a_root_that_is_no_cid_is_refused_before_anything_is_kept(root: bytes) -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        policy = Policy(both.uploader.crypto.owner.public_key, root, 1, 3, 0, removed=False)
        signed = identity_of(both.uploader).sign_as_owner(policy)
        assert await both.declined(offer_of(both.unit, signed)) == "invalid-cid"
        assert both.used_bytes == 0

    play(scene)


def test_a_policy_that_its_owner_did_not_sign_is_refused() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        offer = both.offer
        policy = unpack(Policy, offer.policy)
        forged = attach(change(policy, replicas=64), policy.signature)
        assert await both.declined(change(offer, policy=forged.packed)) == "invalid-signature"

    play(scene)


def test_offers_of_another_link_outlive_one_that_ends() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        other = await world.peer("other")
        ending = await other.links.to(both.peer.key, [both.peer.address], 5.0)
        reservation = await both.accepted()
        await ending.request(both.offer, Accepted)
        links = {link.public_key: link for link in both.peer.links.open_links()}
        both.holder.link_ended(links[other.key])
        assert [each.peer for each in both.holder.offers.promises] == [both.uploader.key]
        await both.link.request(Replicate(reservation=reservation), Held)

    play(scene)


def test_one_peer_may_have_so_many_offers_open_and_no_more() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        for _ in range(OFFERS_PER_PEER_MAX):
            await both.accepted()
        assert await both.declined(both.offer) == "busy"

    play(scene)


def test_offers_may_not_reserve_all_that_is_left() -> None:
    async def scene(world: World) -> None:
        both = await pair(world)
        number = await both.accepted()
        [promise] = both.holder.offers.promises
        await both.link.request(Release(reservation=number), Released)
        room_bytes = promise.room_bytes
        both.holder.disk = Disk(MemoryBlockStore(2 * room_bytes - 1), both.peer.blocking)
        assert await both.declined(both.offer) == "room"
        both.holder.disk = Disk(MemoryBlockStore(2 * room_bytes), both.peer.blocking)
        await both.accepted()

    play(scene)
