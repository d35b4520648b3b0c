"""Holding a copy for somebody: offers in, reservations, bytes, a receipt out.

data path: Offer -> judged and room reserved -> Accepted; Replicate -> the unit is fetched from
the offering node over the same connection -> claim kept -> Held(receipt, provider record).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.errors import NoRoom, PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.signing import unpack
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.acknowledge import acknowledge, claim_on
from dhtstore.node.copies.open_offers import OpenOffer, OpenOffers
from dhtstore.node.copies.receive import receive_unit
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Handler, Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import PROGRESS_EVERY_BYTES, PROGRESS_EVERY_S, RESERVATION_TTL_S
from dhtstore.replication.admission import Admission, Refusal, judge
from dhtstore.replication.promises import Promise, promised_bytes, too_many, too_much
from dhtstore.store.blocks.contract import Reservation
from dhtstore.trace import Tracer
from dhtstore.wire.frames import Accepted, Held, Offer, Release, Released, Replicate, Replicating


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
        promise = Promise(link.public_key, _unit_of(offer), policy)
        Cid.decode(policy.root)  # claims are kept under it: nothing else may stand there
        self.identity.check(policy)
        async with self.deciding:  # offers that come together must count each other
            _refuse(too_many(self.offers.waiting, link.public_key))
            await self._judge(promise, promise.unit.size_bytes)
            room = await self._reserve(promise)
            reservation = self.offers.open(link, promise, room)
        await reply(Accepted(reservation=reservation, expires_s=RESERVATION_TTL_S))

    async def on_release(self, link: Link, message: Release, reply: Reply) -> None:
        self.offers.release(link, message.reservation)
        await reply(Released())

    async def _judge(self, promise: Promise, size_bytes: int) -> None:
        """Raises PeerRefused unless the rule of this node allows so much for that owner."""
        if self.rule is None:
            raise PeerRefused("client", "this node gives no storage")
        newest, held_bytes = await self.disk.blocking.run(self._known, promise)
        owner = promise.policy.owner
        coming_bytes = promised_bytes(self.offers.promises, owner, but=promise.claim)
        refusal = judge(
            self.rule,
            promise.policy,
            size_bytes,
            held_bytes + coming_bytes + promise.row_bytes,
            now_unix_s=self.identity.now_unix_s(),
            newest=newest,
        )
        _refuse(refusal)

    def _known(self, promise: Promise) -> tuple[Policy | None, int]:
        """The newest policy here of that owner and root, and what is held for that owner beside
        what is promised."""
        claims, owner = self.ledger.claims, promise.policy.owner
        held_bytes = claims.held_bytes(owner, but=promise.claim)
        return claims.policy(owner, promise.policy.root), held_bytes

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
        reserved_bytes = sum(each.room_bytes for each in (*self.offers.promises, promise))
        free_bytes = store.capacity_bytes - store.used_bytes - ledger_bytes + reserved_bytes
        _refuse(too_much(reserved_bytes, free_bytes))

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
        with self.offers.receiving(link, message.reservation) as offer:
            walk = await self._receive(offer, reply)
            await self._judge(offer.promise, walk.size_bytes)  # what it really is
            claim = claim_on(walk, offer.promise.policy)
            copy = await acknowledge(self.identity, self.disk, self.ledger, claim)
        self.tracer("hold.held", unit=claim.unit.hex(), size=claim.size_bytes)
        await reply(
            Held(
                receipt=copy.receipt.packed,
                provider=copy.provider.packed,
                contact=copy.contact.packed,
            )
        )

    async def _receive(self, offer: OpenOffer, reply: Reply) -> UnitWalk:
        """Fetch the unit, telling the uploader now and then that we are at it."""
        told = _Told(reply, self.clock)
        unit, room = offer.promise.unit, offer.room
        async with FetchSession(self.disk, FixedHolders([offer.link])) as session:
            return await receive_unit(session, unit, room=room, progress=told.progress)


class _Told:
    """Sends Replicating when enough has come, or some of it slowly: an uploader takes silence for
    an end.  Never queues a second one behind a first."""

    def __init__(self, reply: Reply, clock: Clock) -> None:
        self._reply, self._clock = reply, clock
        self._told_bytes, self._told_s = 0, clock.monotonic_s()
        self._sending: asyncio.Future[None] | None = None

    def progress(self, done_bytes: int) -> None:
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
