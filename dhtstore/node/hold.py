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
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Policy
from dhtstore.model.signing import check
from dhtstore.model.unit import Unit
from dhtstore.node.acknowledge import Totals, acknowledge
from dhtstore.node.fetch import FixedSources
from dhtstore.node.receive import receive_unit
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    OFFERS_OPEN_MAX,
    OFFERS_PER_PEER_MAX,
    PROGRESS_EVERY_BYTES,
    RESERVATION_TTL_S,
    UNIT_OVERHEAD_DIVISOR,
)
from dhtstore.replication.admission import Admission, judge
from dhtstore.store.contract import Reservation
from dhtstore.wire.frames import Accepted, Held, Offer, Progress, Release, Released, Replicate

if TYPE_CHECKING:
    from dhtstore.node.links import Handler, Link, Reply
    from dhtstore.node.node import Node


@dataclass(frozen=True, slots=True)
class _Open:
    """An accepted offer that waits for its Replicate."""

    peer: PublicKey
    unit: Unit
    policy: Policy
    room: Reservation
    expiry: asyncio.TimerHandle


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
        self.offers[self.last] = _Open(link.public_key, unit, policy, room, expiry)
        return self.last

    def _check_bounds(self, link: Link) -> None:
        if not self.node.settings.storage:
            raise PeerRefused("client", "this node gives no storage")
        same_peer = sum(offer.peer == link.public_key for offer in self.offers.values())
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
        held_bytes = await run(partial(node.claims.held_bytes, owner, but_unit=unit.name))
        refusal = judge(
            rule,
            policy,
            size_bytes,
            held_bytes + self._coming_bytes(owner, but_unit=unit.name),
            now_unix_s=node.ports.clock.unix_s(),
            known_sequence=known.sequence if known else -1,
        )
        if refusal:
            raise PeerRefused(refusal.code, refusal.reason)

    def _coming_bytes(self, owner: bytes, *, but_unit: bytes) -> int:
        """Content bytes of the units promised to one owner and not held yet, each once."""
        coming = {
            offer.unit.name: offer.unit.size_bytes
            for offer in (*self.offers.values(), *self.receiving.values())
            if offer.policy.owner == owner and offer.unit.name != but_unit
        }
        return sum(coming.values())

    async def _reserve(self, unit: Unit) -> Reservation:
        """Room for the content, its interior blocks and the store's own overhead."""
        size = unit.size_bytes + unit.size_bytes // UNIT_OVERHEAD_DIVISOR + BLOCK_SIZE_MAX_BYTES
        rooms: list[Reservation] = []

        def reserve() -> None:
            rooms.append(self.node.ports.store.reserve(size))

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

    def _take(self, link: Link, reservation: int) -> _Open:
        offer = self.offers.get(reservation)
        if offer is None or offer.peer != link.public_key:
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
        told = _Told(reply)
        return await receive_unit(
            self.node, offer.unit, FixedSources([link]), room=offer.room, progress=told.progress
        )

    async def on_release(self, link: Link, message: Release, reply: Reply) -> None:
        if message.reservation in self.offers:
            self._take(link, message.reservation).room.release()
        await reply(Released())


class _Told:
    """Sends Progress when enough has come, never queueing a second one behind a first."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._told_bytes = 0
        self._sending: asyncio.Future[None] | None = None

    def progress(self, done_bytes: int) -> None:
        waiting = self._sending is not None and not self._sending.done()
        if done_bytes - self._told_bytes >= PROGRESS_EVERY_BYTES and not waiting:
            self._told_bytes = done_bytes
            self._sending = self._reply(Progress(done_bytes))


def _unit_of(offer: Offer) -> Unit:
    roots = tuple(Cid.decode(raw) for raw in offer.roots)
    return Unit.of(roots, offer.size, spine=offer.spine)
