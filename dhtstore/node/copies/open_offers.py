"""Offers that were accepted and not fulfilled yet, with the room set aside for each.

Two things are scarce: offers that wait (OFFERS_OPEN_MAX) and receives under way (RECEIVES_MAX).
Each origin has its share of either, under contention only; the node's own work is not counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf

from dhtstore.errors import PeerRefused
from dhtstore.node.links.link import Link
from dhtstore.node.traffic.gate import Gate, shared_by_most
from dhtstore.params import (
    OFFERS_OPEN_MAX,
    PACED_BLOCK_BYTES,
    RECEIVE_FAIR_BYTES_PER_S,
    RECEIVE_GRACE_S,
    RECEIVE_WAIT_S,
    RECEIVES_MAX,
    REQUEST_TIMEOUT_S,
    RESERVATION_TTL_S,
)
from dhtstore.replication.promises import Promise, crowd
from dhtstore.store.blocks.contract import Reservation
from dhtstore.transfer.pace import Pace


@dataclass(eq=False, slots=True)
class OpenOffer:
    """``expiry`` ends it if its Replicate does not come."""

    link: Link
    promise: Promise
    room: Reservation
    expiry: asyncio.TimerHandle


class Receiving:
    """An offer whose unit is on its way; ``promise`` and ``room`` are the offer's.

    The block within ``OpenOffers.receiving`` lives as long as ``pace`` allows, and no longer once
    it has to give way to others: then it is cancelled, and PeerRefused (``slow``) comes out of the
    ``async with``.  Tell ``delivered`` of each block as it comes, and call ``complete`` when the
    last has come: from then on nothing ends it from outside, so that what is committed is not cut
    in two.
    """

    __slots__ = ("_begun_s", "_scope", "_timer", "ended", "final", "offer", "pace")

    def __init__(self, offer: OpenOffer, scope: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        self.offer, self.final, self.ended = offer, False, asyncio.Event()
        self._scope, self._begun_s = scope, loop.time()
        self.pace = Pace(loop.time(), REQUEST_TIMEOUT_S)
        self._timer = loop.call_at(self.pace.ends_s, self._look)

    @property
    def link(self) -> Link:
        return self.offer.link

    @property
    def promise(self) -> Promise:
        return self.offer.promise

    @property
    def room(self) -> Reservation:
        return self.offer.room

    @property
    def rate_bytes_per_s(self) -> float:
        """Since it began; infinite while it is too young to tell, or complete."""
        lasted_s = asyncio.get_running_loop().time() - self._begun_s
        young = self.final or lasted_s < RECEIVE_GRACE_S
        return inf if young else self.pace.delivered_bytes / lasted_s

    def delivered(self, stored_bytes: int, blocks: int) -> None:
        """So many blocks more have come, of so many stored bytes altogether; no more count than
        were offered.  A small block counts as PACED_BLOCK_BYTES: it may cost a round trip."""
        more_bytes = max(stored_bytes, blocks * PACED_BLOCK_BYTES)
        owed_bytes = self.promise.stored_bytes + self.promise.blocks * PACED_BLOCK_BYTES
        left_bytes = owed_bytes - self.pace.delivered_bytes
        self.pace.delivered(min(more_bytes, left_bytes), asyncio.get_running_loop().time())

    def complete(self) -> None:
        """All has come: it can no longer be ended from outside."""
        self.final = True
        self._timer.cancel()

    def give_way(self) -> None:
        """End it now, unless it is complete."""
        if not self.final:
            self.complete()
            self._scope.reschedule(asyncio.get_running_loop().time())

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        if self.pace.ends_s > loop.time():
            self._timer = loop.call_at(self.pace.ends_s, self._look)
        else:
            self.give_way()


class OpenOffers:
    """By number: what waits for its Replicate, and what is being received.  Each gives its room
    back exactly once: when it was received, released or has expired, or its link has ended."""

    def __init__(self, down: Gate | None = None) -> None:
        self._waiting: dict[int, OpenOffer] = {}
        self._places = _Places(down or Gate())
        self._last = 0

    @property
    def waiting(self) -> list[Promise]:
        """Of all whose Replicate did not come yet."""
        return [each.promise for each in self._waiting.values()]

    @property
    def promises(self) -> list[Promise]:
        """Of all that wait or are being received."""
        return [each.promise for each in (*self._waiting.values(), *self._places.offers)]

    def expects(self, key: bytes) -> bool:
        """Whether room is set aside for that unit."""
        return any(each.key == key for each in self.promises)

    def open(self, link: Link, promise: Promise, room: Reservation) -> int:
        """The number that the peer at the other end of ``link`` names it by."""
        self._last += 1
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(RESERVATION_TTL_S, self._end, self._last)
        self._waiting[self._last] = OpenOffer(link, promise, room, expiry)
        return self._last

    def make_way(self, promise: Promise) -> None:
        """Call it before ``too_many``: where as many offers are open as may be, the oldest that
        waits of the most crowded origin is over, if ``promise`` comes from one that has clearly
        less."""
        if promise.own or sum(not each.own for each in self.promises) < OFFERS_OPEN_MAX:
            return
        counts = crowd(self.waiting)
        most = max(counts, key=lambda origin: counts[origin], default="")
        if counts.get(most, 0) > counts.get(promise.origin, 0) + 1:
            self._end(next(n for n, each in self._waiting.items() if _strange(each, most)))

    def make_room(self, promise: Promise) -> bool:
        """Call it where room is refused to ``promise``: the oldest offer that waits is over, of the
        origin that has most reserved by such, if that is more than ``promise``'s would then have.
        Whether there was one."""
        reserved = Counter[str]()
        for each in self._waiting.values():
            reserved[each.promise.origin] += 0 if each.promise.own else each.promise.room_bytes
        most, most_bytes = max(reserved.items(), key=lambda pair: pair[1], default=("", 0))
        own_bytes = 0 if promise.own else reserved.get(promise.origin, 0) + promise.room_bytes
        if most_bytes <= own_bytes:
            return False
        self._end(next(n for n, each in self._waiting.items() if _strange(each, most)))
        return True

    def make_room_for_own(self) -> bool:
        """Call it where room is refused to what this node's own user puts: the oldest offer of
        others that waits is over.  Whether there was one."""
        oldest = next((n for n, each in self._waiting.items() if not each.promise.own), None)
        if oldest is None:
            return False
        self._end(oldest)
        return True

    @asynccontextmanager
    async def receiving(self, link: Link, number: int) -> AsyncIterator[Receiving]:
        """Use an offer, once, as soon as there is a place for it.

        Raises PeerRefused if ``link`` has none of that number, if no place becomes free in
        RECEIVE_WAIT_S (``busy``), and out of the block where that was ended (``slow``):
        ``Receiving`` says when."""
        offer = self._taken(link, number)
        try:
            async with self._places.place(offer), _ended_as_refused() as scope:
                receiving = self._places.begun(offer, scope)
                try:
                    yield receiving
                finally:
                    receiving.complete()
                    receiving.ended.set()
        finally:
            offer.room.release()

    def release(self, link: Link, number: int) -> None:
        """End one that waits; one that has ended is passed over.  Raises PeerRefused if it came
        by another link."""
        if number in self._waiting:
            self._taken(link, number).room.release()

    async def settled(self) -> None:
        """Until whatever has come whole by now is kept, or is not."""
        for receiving in self._places.final:
            await receiving.ended.wait()

    def link_ended(self, link: Link) -> None:
        """Offers end with the link they came by: their Replicate can only come by it."""
        for number, offer in list(self._waiting.items()):
            if offer.link is link:
                self._end(number)

    def _end(self, number: int) -> None:
        offer = self._waiting.pop(number)
        offer.expiry.cancel()
        offer.room.release()

    def _taken(self, link: Link, number: int) -> OpenOffer:
        offer = self._waiting.get(number)
        if offer is None or offer.link is not link:
            raise PeerRefused("reservation", "there is no such reservation, or it has expired")
        del self._waiting[number]
        offer.expiry.cancel()
        return offer


class _Places:
    """RECEIVES_MAX places for receives; fewer where ``down`` is a limit that brings them less than
    they must come at.  Who waits for one gets it by its origin: that which has
    the fewest comes first, then whoever came first.  While somebody waits, receives that are slow
    give way: the slowest of the most crowded origin first."""

    def __init__(self, down: Gate) -> None:
        self._down = down
        self._at_work: dict[OpenOffer, Receiving | None] = {}
        self._waiting: dict[OpenOffer, asyncio.Future[None]] = {}
        self._look: asyncio.TimerHandle | None = None

    @property
    def offers(self) -> Iterable[OpenOffer]:
        return (*self._waiting, *self._at_work)

    @property
    def final(self) -> list[Receiving]:
        """Those of which all has come."""
        return [each for each in self._at_work.values() if each is not None and each.final]

    @asynccontextmanager
    async def place(self, offer: OpenOffer) -> AsyncIterator[None]:
        """Wait for one; raises PeerRefused."""
        if offer.promise.own or self._taken < self._most:
            self._at_work[offer] = None
        else:
            await self._turn(offer)
        try:
            yield
        finally:
            del self._at_work[offer]
            self._next()

    def begun(self, offer: OpenOffer, scope: asyncio.Timeout) -> Receiving:
        receiving = self._at_work[offer] = Receiving(offer, scope)
        return receiving

    def press(self, origin: str) -> None:
        """Somebody of ``origin`` wants what others hold: the slowest receive of the most crowded
        origin gives way, unless it is fast enough or that origin has less than this one."""
        counts = crowd(offer.promise for offer in self._at_work)
        slow = [
            each
            for each in self._at_work.values()
            if each is not None
            and not each.promise.own
            and each.rate_bytes_per_s < self._fair_bytes_per_s
            and counts[each.promise.origin] >= counts.get(origin, 0)
        ]
        if slow:
            first = min(slow, key=lambda e: (-counts[e.promise.origin], e.rate_bytes_per_s))
            first.give_way()

    @property
    def _most(self) -> float:
        return min(RECEIVES_MAX, shared_by_most(self._down))

    @property
    def _fair_bytes_per_s(self) -> float:
        """Half of what each gets of a limit is as fast as it can be expected to come."""
        limit = inf if self._down.limit is None else self._down.limit
        return min(RECEIVE_FAIR_BYTES_PER_S, limit / self._most / 2)

    @property
    def _taken(self) -> int:
        return sum(not offer.promise.own for offer in self._at_work)

    async def _turn(self, offer: OpenOffer) -> None:
        """Until ``_next`` has put it among those at work."""
        turn = self._waiting[offer] = asyncio.get_running_loop().create_future()
        self._look_soon()
        try:
            async with asyncio.timeout(RECEIVE_WAIT_S):
                await turn
        except BaseException as error:
            if self._waiting.pop(offer, None) is None:  # its turn came, too late
                del self._at_work[offer]
                self._next()
            if isinstance(error, TimeoutError):
                raise PeerRefused("busy", "too many units are coming in here") from None
            raise

    def _next(self) -> None:
        while self._waiting and self._taken < self._most:
            offer = self._next_in_turn()
            turn = self._waiting.pop(offer)
            self._at_work[offer] = None
            if not turn.done():
                turn.set_result(None)

    def _next_in_turn(self) -> OpenOffer:
        counts = crowd(each.promise for each in self._at_work)
        return min(self._waiting, key=lambda each: counts.get(each.promise.origin, 0))

    def _look_soon(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(RECEIVE_GRACE_S / 5, self._press)

    def _press(self) -> None:
        self._look = None
        if self._waiting:
            self.press(self._next_in_turn().promise.origin)
            self._look_soon()


@asynccontextmanager
async def _ended_as_refused() -> AsyncIterator[asyncio.Timeout]:
    """Who reschedules it ends the block, out of which PeerRefused comes then."""
    scope = asyncio.timeout(None)
    try:
        async with scope:
            yield scope
    except TimeoutError:
        if scope.expired():
            raise PeerRefused("slow", "the blocks came too slowly") from None
        raise


def _strange(offer: OpenOffer, origin: str) -> bool:
    return offer.promise.origin == origin and not offer.promise.own
