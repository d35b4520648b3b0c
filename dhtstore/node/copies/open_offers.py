"""Offers that were accepted and not fulfilled yet, with the room set aside for each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dhtstore.errors import PeerRefused
from dhtstore.node.links.link import Link
from dhtstore.params import RESERVATION_TTL_S
from dhtstore.replication.promises import Promise
from dhtstore.store.blocks.contract import Reservation


@dataclass(frozen=True, slots=True)
class OpenOffer:
    """``expiry`` ends it if its Replicate does not come."""

    link: Link
    promise: Promise
    room: Reservation
    expiry: asyncio.TimerHandle


class OpenOffers:
    """By number: what waits for its Replicate, and what is being received.  Each gives its room
    back exactly once: when it was received, released or has expired, or its link has ended."""

    def __init__(self) -> None:
        self._waiting: dict[int, OpenOffer] = {}
        self._receiving: dict[int, OpenOffer] = {}
        self._last = 0

    @property
    def waiting(self) -> list[Promise]:
        return [offer.promise for offer in self._waiting.values()]

    @property
    def promises(self) -> list[Promise]:
        """Of all, also those that are being received."""
        offers = (*self._waiting.values(), *self._receiving.values())
        return [offer.promise for offer in offers]

    def open(self, link: Link, promise: Promise, room: Reservation) -> int:
        """The number that the peer at the other end of ``link`` names it by."""
        self._last += 1
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(RESERVATION_TTL_S, self._expire, self._last)
        self._waiting[self._last] = OpenOffer(link, promise, room, expiry)
        return self._last

    @contextmanager
    def receiving(self, link: Link, number: int) -> Iterator[OpenOffer]:
        """Use an offer, once; raises PeerRefused if ``link`` has none of that number."""
        offer = self._receiving[number] = self._taken(link, number)
        try:
            yield offer
        finally:
            del self._receiving[number]
            offer.room.release()

    def release(self, link: Link, number: int) -> None:
        """End one that waits; one that has ended is passed over.  Raises PeerRefused if it came
        by another link."""
        if number in self._waiting:
            self._taken(link, number).room.release()

    def link_ended(self, link: Link) -> None:
        """Offers end with the link they came by: their Replicate can only come by it."""
        for number, offer in list(self._waiting.items()):
            if offer.link is link:
                self._taken(link, number).room.release()

    def _expire(self, number: int) -> None:
        self._waiting.pop(number).room.release()

    def _taken(self, link: Link, number: int) -> OpenOffer:
        offer = self._waiting.get(number)
        if offer is None or offer.link is not link:
            raise PeerRefused("reservation", "there is no such reservation, or it has expired")
        del self._waiting[number]
        offer.expiry.cancel()
        return offer
