"""Holding a copy for somebody: offers in, reservations, bytes, a receipt out.

data path: Offer -> judged and room reserved -> Accepted; Replicate -> the unit is fetched from
the offering node over the same connection -> claim kept -> Held(receipt, provider record).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.errors import NoRoom, PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.contact import subnet
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Claim, Policy, Usage
from dhtstore.model.signing import unpack
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.acknowledge import acknowledge, claim_on
from dhtstore.node.copies.open_offers import OpenOffers, Receiving
from dhtstore.node.copies.receive import receive_unit
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Handler, Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import (
    KIB,
    PROGRESS_EVERY_BYTES,
    PROGRESS_EVERY_S,
    RESERVATION_TTL_S,
)
from dhtstore.replication.admission import Admission, Demand, Refusal, is_at_home, judge
from dhtstore.replication.promises import Promise, too_many, too_much, with_promised
from dhtstore.store.blocks.contract import Reservation
from dhtstore.trace import Tracer
from dhtstore.wire.frames import Accepted, Held, Offer, Release, Released, Replicate, Replicating


@dataclass(frozen=True, slots=True)
class Offered(Promise):
    """With what the offer names: its Replicate says no more than its number."""

    unit: Unit = field(kw_only=True)
    policy: Policy = field(kw_only=True)


@dataclass(slots=True)
class Holder:
    """The holding side of one node.  Refusals are PeerRefused: the link sends them as Declined.

    ``rule`` says whose data is taken; None on a client, which takes none.
    """

    identity: Identity
    disk: Disk
    ledger: Ledger
    clock: Clock
    tracer: Tracer
    rule: Admission | None
    offers: OpenOffers = field(default_factory=OpenOffers)
    deciding: asyncio.Lock = field(default_factory=asyncio.Lock)

    def handlers(self) -> dict[type, Handler]:
        return {Offer: self.on_offer, Replicate: self.on_replicate, Release: self.on_release}

    def link_ended(self, link: Link) -> None:
        self.offers.link_ended(link)

    # --- offers -----------------------------------------------------------------------------

    async def on_offer(self, link: Link, offer: Offer, reply: Reply) -> None:
        policy = unpack(Policy, offer.policy)
        promise = _promise(self, link, _unit_of(offer), policy)
        Cid.decode(policy.root)  # claims are kept under it: nothing else may stand there
        self.identity.check(policy)
        async with self.deciding:  # offers that come together must count each other
            self.offers.make_way(promise)
            _refuse(too_many(self.offers.promises, promise))
            asked = replace(promise.demand, policy=policy)
            promise = replace(promise, new=await self._judge(promise, asked))
            room = await self._reserve(promise)
            reservation = self.offers.open(link, promise, room)
        await reply(Accepted(reservation=reservation, expires_s=RESERVATION_TTL_S))

    async def on_release(self, link: Link, message: Release, reply: Reply) -> None:
        self.offers.release(link, message.reservation)
        await reply(Released())

    async def _judge(self, promise: Offered, asked: Demand) -> bool:
        """Raises PeerRefused unless the rule of this node allows what is asked; whether its owner
        is a newcomer."""
        if self.rule is None:
            raise PeerRefused("client", "this node gives no storage")
        claims, now_unix_s = self.ledger.claims, self.identity.now_unix_s()
        unit, owner, root = promise.unit.name, promise.owner, promise.policy.root

        def known() -> tuple[Policy | None, Usage, int]:
            usage = claims.usage(owner, promise.origin, now_unix_s, but=(unit, root))
            return claims.policy(owner, root), usage, claims.ledger_bytes()

        newest, usage, ledger_bytes = await self.disk.blocking.run(known)
        used_bytes = self.disk.store.used_bytes + ledger_bytes
        usage = with_promised(replace(usage, used_bytes=used_bytes), self.offers.promises, promise)
        _refuse(judge(self.rule, asked, usage, now_unix_s=now_unix_s, newest=newest))
        return usage.new

    async def _reserve(self, promise: Promise) -> Reservation:
        """Set room aside, also for the claim; raises PeerRefused."""
        room = await self._set_aside(promise.room_bytes)
        try:
            ledger_bytes = await self.disk.blocking.run(self.ledger.claims.ledger_bytes)
            self._check_share(promise, ledger_bytes)
        except BaseException:
            room.release()
            raise
        return room

    def _check_share(self, promise: Promise, ledger_bytes: int) -> None:
        """The ledger lies outside the store's quota, so it is taken off here."""
        store = self.disk.store
        if store.capacity_bytes is None:
            return
        promises = self.offers.promises
        reserved_bytes = sum(each.room_bytes for each in (*promises, promise))
        free_bytes = store.capacity_bytes - store.used_bytes - ledger_bytes + reserved_bytes
        _refuse(too_much(promises, promise, free_bytes))

    async def _set_aside(self, size_bytes: int) -> Reservation:
        rooms: list[Reservation] = []

        def reserve() -> None:
            rooms.append(self.disk.store.reserve(size_bytes))

        try:
            await self.disk.blocking.run(reserve)
        except NoRoom as error:
            raise PeerRefused("room", str(error)) from error
        except asyncio.CancelledError:
            for room in rooms:  # it was set aside for somebody who is gone
                room.release()
            raise
        return rooms[0]

    # --- copies -----------------------------------------------------------------------------

    async def on_replicate(self, link: Link, message: Replicate, reply: Reply) -> None:
        async with self.offers.receiving(link, message.reservation) as receiving:
            promise = receiving.promise
            assert isinstance(promise, Offered)
            walk = await self._receive(receiving, promise.unit, reply)
            receiving.complete()
            claim = claim_on(walk, promise.policy, promise.origin)
            await self._judge(promise, _asked(promise, claim))  # what it really is
            begun_unix_s = None if promise.own else self.identity.now_unix_s()
            await self.disk.blocking.run(self.ledger.claims.begin, claim, begun_unix_s)
            copy = await acknowledge(self.identity, self.disk, self.ledger, claim)
        self.tracer("hold.held", unit=claim.unit.hex(), size=claim.size_bytes)
        await reply(
            Held(
                receipt=copy.receipt.packed,
                provider=copy.provider.packed,
                contact=copy.contact.packed,
            )
        )

    async def _receive(self, receiving: Receiving, unit: Unit, reply: Reply) -> UnitWalk:
        """Fetch the unit, telling the uploader now and then that we are at it."""
        told = _Told(reply, self.clock, receiving)
        async with FetchSession(self.disk, FixedHolders([receiving.link])) as session:
            return await receive_unit(session, unit, room=receiving.room, progress=told.progress)


def _asked(promise: Promise, claim: Claim) -> Demand:
    return Demand(
        promise.owner,
        promise.origin,
        claim.charged_bytes,
        claim.blocks,
        claim.ledger_bytes,
        promise.at_home,
        claim.policy,
    )


def _promise(holder: Holder, link: Link, unit: Unit, policy: Policy) -> Offered:
    owner = PublicKey(policy.owner)
    return Offered(
        peer=link.public_key,
        origin=subnet(link.remote),
        owner=owner,
        key=unit.key,
        stored_bytes=65 * unit.size_bytes // 64 + 2 * KIB + 160 * len(unit.roots),
        blocks=8 + len(unit.roots) + unit.size_bytes // (4 * KIB),
        at_home=is_at_home(link.remote, holder.identity.addresses()),
        own=holder.rule is not None and owner == holder.rule.own_owner,
        unit=unit,
        policy=policy,
    )


class _Told:
    """Sends Replicating when enough has come, or some of it slowly: an uploader takes silence for
    an end.  Never queues a second one behind a first."""

    def __init__(self, reply: Reply, clock: Clock, receiving: Receiving) -> None:
        self._reply, self._clock, self._receiving = reply, clock, receiving
        self._told_bytes, self._told_s = 0, clock.monotonic_s()
        self._done_bytes = 0
        self._sending: asyncio.Future[None] | None = None

    def progress(self, done_bytes: int) -> None:
        self._receiving.delivered(done_bytes - self._done_bytes, 1)
        self._done_bytes = done_bytes
        waiting = self._sending is not None and not self._sending.done()
        now = self._clock.monotonic_s()
        much = done_bytes - self._told_bytes >= PROGRESS_EVERY_BYTES
        if (much or now - self._told_s >= PROGRESS_EVERY_S) and not waiting:
            self._told_bytes, self._told_s = done_bytes, now
            self._sending = self._reply(Replicating(held_bytes=done_bytes))


def _unit_of(offer: Offer) -> Unit:
    roots = tuple(Cid.decode(raw) for raw in offer.roots)
    if any(root.inlined is not None for root in roots):
        raise PeerRefused("roots", "a root that carries its content in its name needs no holder")
    return Unit.of(roots, offer.size, spine=offer.spine)


def _refuse(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise PeerRefused(refusal.code, refusal.reason)
