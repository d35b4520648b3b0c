"""Holding a copy for somebody: offers in, reservations, bytes, a receipt out.

data path: Offer -> judged and room reserved -> Accepted; Replicate -> the unit is fetched from
the offering node over the same connection -> claim kept -> Held(receipt, provider record).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from dhtstore.errors import NoRoom, PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy, claim_bytes
from dhtstore.model.signing import check
from dhtstore.model.unit import Unit
from dhtstore.node.copies.acknowledge import Totals, acknowledge
from dhtstore.node.copies.receive import receive_unit
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.fetching.sources import FixedSources
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    OFFERS_OPEN_MAX,
    OFFERS_PER_PEER_MAX,
    OFFERS_ROOM_DIVISOR,
    PROGRESS_EVERY_BYTES,
    PROGRESS_EVERY_S,
    RESERVATION_TTL_S,
    UNIT_OVERHEAD_DIVISOR,
)
from dhtstore.replication.admission import Admission, judge
from dhtstore.store.blocks.contract import Reservation
from dhtstore.wire.frames import Accepted, Held, Offer, Progress, Release, Released, Replicate

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock
    from dhtstore.node.links.pool import Handler, Link, Reply
    from dhtstore.node.node import Node


@dataclass(frozen=True, slots=True)
class _Open:
    """An accepted offer that waits for its Replicate."""

    link: Link
    unit: Unit
    policy: Policy
    room: Reservation
    expiry: asyncio.TimerHandle

    @property
    def row_bytes(self) -> int:
        return _row_bytes(self.unit)


@dataclass(slots=True)
class Holder:
    """The holding side of one node.  Refusals are PeerRefused: the link sends them as Declined."""

    node: Node
    offers: dict[int, _Open] = field(default_factory=dict)  # that wait for their Replicate
    receiving: dict[int, _Open] = field(default_factory=dict)
    deciding: asyncio.Lock = field(default_factory=asyncio.Lock)
    last: int = 0

    def handlers(self) -> dict[type, Handler]:
        return {Offer: self.on_offer, Replicate: self.on_replicate, Release: self.on_release}

    # --- offers -----------------------------------------------------------------------------

    async def on_offer(self, link: Link, offer: Offer, reply: Reply) -> None:
        unit = _unit_of(offer)
        Cid.decode(offer.policy.root)  # claims are kept under it: nothing else may stand there
        check(offer.policy, self.node.settings.network, self.node.ports.crypto)
        async with self.deciding:  # offers that come together must count each other
            self._check_bounds(link)
            await self._judge(unit, offer.policy, unit.size_bytes)
            room = await self._reserve(unit)
            reservation = self._opened(link, unit, offer.policy, room)
        await reply(Accepted(reservation, RESERVATION_TTL_S))

    def _opened(self, link: Link, unit: Unit, policy: Policy, room: Reservation) -> int:
        self.last += 1
        expiry = asyncio.get_running_loop().call_later(RESERVATION_TTL_S, self._expire, self.last)
        self.offers[self.last] = _Open(link, unit, policy, room, expiry)
        return self.last

    def _check_bounds(self, link: Link) -> None:
        if not self.node.settings.storage:
            raise PeerRefused("client", "this node gives no storage")
        same_peer = sum(offer.link.public_key == link.public_key for offer in self.offers.values())
        if len(self.offers) >= OFFERS_OPEN_MAX or same_peer >= OFFERS_PER_PEER_MAX:
            raise PeerRefused("busy", "too many offers are open here")

    async def _judge(self, unit: Unit, policy: Policy, size_bytes: int) -> None:
        """Raises PeerRefused unless the rules of this node allow so much for that owner."""
        node, settings, owner = self.node, self.node.settings, policy.owner
        rule = Admission(
            settings.accept,
            node.ports.crypto.owner.public_key,
            settings.owners,
            settings.owner_quota_bytes,
        )
        run = node.ports.blocking.run
        known = await run(node.claims.policy, owner, policy.root)
        but = unit.name, policy.root
        held_bytes = await run(partial(node.claims.held_bytes, owner, but=but))
        refusal = judge(
            rule,
            policy,
            size_bytes,
            held_bytes + self._coming_bytes(owner, but=but) + _row_bytes(unit),
            now_unix_s=node.ports.clock.unix_s(),
            known_sequence=known.sequence if known else -1,
        )
        if refusal:
            raise PeerRefused(refusal.code, refusal.reason)

    def _coming_bytes(self, owner: bytes, *, but: tuple[bytes, bytes]) -> int:
        """What is promised to one owner and not held yet: each unit once, and the rows of the
        claims; not those of ``but`` (unit, root)."""
        offers = [offer for offer in self._reserving() if offer.policy.owner == owner]
        units = {o.unit.name: o.unit.size_bytes for o in offers if o.unit.name != but[0]}
        rows = [o.row_bytes for o in offers if (o.unit.name, o.policy.root) != but]
        return sum(units.values()) + sum(rows)

    def _reserving(self) -> list[_Open]:
        return [*self.offers.values(), *self.receiving.values()]

    async def _reserve(self, unit: Unit) -> Reservation:
        """Room for the content, its interior blocks, the store's own overhead and the claim."""
        room = await self._set_aside(
            unit.size_bytes
            + unit.size_bytes // UNIT_OVERHEAD_DIVISOR
            + BLOCK_SIZE_MAX_BYTES
            + _row_bytes(unit)
        )
        try:
            self._check_share(
                room, await self.node.ports.blocking.run(self.node.claims.ledger_bytes)
            )
        except BaseException:
            room.release()
            raise
        return room

    def _check_share(self, room: Reservation, ledger_bytes: int) -> None:
        """What strangers reserve together leaves room for the owner's own puts.  The ledger
        lies outside the store's quota, so it is taken off here."""
        store = self.node.ports.store
        if store.capacity_bytes is None:
            return
        open_bytes = room.size_bytes + sum(offer.room.size_bytes for offer in self._reserving())
        free_bytes = store.capacity_bytes - store.used_bytes - ledger_bytes + open_bytes
        if open_bytes * OFFERS_ROOM_DIVISOR > free_bytes:
            raise PeerRefused("room", "too much of the room that is left here is reserved")

    async def _set_aside(self, size_bytes: int) -> Reservation:
        rooms: list[Reservation] = []

        def reserve() -> None:
            rooms.append(self.node.ports.store.reserve(size_bytes))

        try:
            await self.node.ports.blocking.run(reserve)
        except NoRoom as error:
            raise PeerRefused("room", str(error)) from error
        except asyncio.CancelledError:
            for room in rooms:  # it was set aside for somebody who is gone
                room.release()
            raise
        return rooms[0]

    def _expire(self, reservation: int) -> None:
        self.offers.pop(reservation).room.release()

    def link_ended(self, link: Link) -> None:
        """Offers end with the link they came by: their Replicate can only come by it."""
        for reservation, offer in list(self.offers.items()):
            if offer.link is link:
                self._take(link, reservation).room.release()

    def _take(self, link: Link, reservation: int) -> _Open:
        offer = self.offers.get(reservation)
        if offer is None or offer.link is not link:
            raise PeerRefused("reservation", "there is no such reservation, or it has expired")
        del self.offers[reservation]
        offer.expiry.cancel()
        return offer

    # --- copies -----------------------------------------------------------------------------

    async def on_replicate(self, link: Link, message: Replicate, reply: Reply) -> None:
        offer = self._take(link, message.reservation)
        self.receiving[message.reservation] = offer
        try:
            totals = await self._receive(link, offer, reply)
            await self._judge(offer.unit, offer.policy, totals.size_bytes)  # what it really is
            copy = await acknowledge(self.node, offer.unit, offer.policy, totals)
        finally:
            del self.receiving[message.reservation]
            offer.room.release()
        self.node.ports.tracer("hold.held", unit=offer.unit.name.hex(), size=totals.size_bytes)
        await reply(Held(copy.receipt, copy.provider))

    async def _receive(self, link: Link, offer: _Open, reply: Reply) -> Totals:
        """Fetch the unit, telling the uploader now and then that we are at it."""
        told = _Told(reply, self.node.ports.clock)
        async with FetchSession(self.node.disk, FixedSources([link])) as session:
            return await receive_unit(session, offer.unit, room=offer.room, progress=told.progress)

    async def on_release(self, link: Link, message: Release, reply: Reply) -> None:
        if message.reservation in self.offers:
            self._take(link, message.reservation).room.release()
        await reply(Released())


class _Told:
    """Sends Progress when enough has come, or some of it slowly: an uploader takes silence for
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
            self._sending = self._reply(Progress(done_bytes))


def _unit_of(offer: Offer) -> Unit:
    roots = tuple(Cid.decode(raw) for raw in offer.roots)
    if any(root.inlined is not None for root in roots):
        raise PeerRefused("roots", "a root that carries its content in its name needs no holder")
    return Unit.of(roots, offer.size, spine=offer.spine)


def _row_bytes(unit: Unit) -> int:
    return claim_bytes(root.raw for root in unit.roots)
