"""Whom a holder asks for what it receives: the one before it, and the uploader."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dhtstore.errors import DhtstoreError, Unreachable
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.unit import Unit
from dhtstore.net.accepting import Rations
from dhtstore.net.ports import Clock
from dhtstore.node.fetching.search import Finds, Heard, Patience, Terms
from dhtstore.node.links.link import Link
from dhtstore.node.links.pool import Links
from dhtstore.params import (
    RELAY_DIAL_S,
    RELAY_DIALS_AT_ONCE,
    RELAY_DIALS_AT_ONCE_PER_ORIGIN,
    RELAY_DIALS_PER_S,
    RELAY_DIALS_PER_S_PER_ORIGIN,
    UPSTREAMS_MAX,
)
from dhtstore.tasks import run_all

# Who is to be met, for an uploader of which origin; raises DhtstoreError.
Dial = Callable[[ContactRecord, str], Awaitable[Link]]


async def nobody(record: ContactRecord, origin: str) -> Link:
    """A Dial of who meets nobody."""
    raise Unreachable("this node dials nobody for others")


class NamedHolders:
    """A Dial: where uploaders lead this node is bounded for each of their origins and for all."""

    def __init__(self, links: Links, own_key: PublicKey, clock: Clock) -> None:
        self._links, self._own_key, self._clock = links, own_key, clock
        each = (RELAY_DIALS_AT_ONCE_PER_ORIGIN, RELAY_DIALS_PER_S_PER_ORIGIN)
        together = (RELAY_DIALS_AT_ONCE, RELAY_DIALS_PER_S)
        self._rations = Rations(each, together, clock.monotonic_s())

    async def to(self, record: ContactRecord, origin: str) -> Link:
        addresses = self._links.followable(record.address_list())
        if record.signer == self._own_key or not addresses:
            raise Unreachable("nobody is to be met there")
        if self._rations.wait_s(origin, self._clock.monotonic_s()) > 0:
            raise Unreachable("too many were to be met for that origin")
        self._rations.take(origin)
        return await self._links.to(record.signer, addresses, RELAY_DIAL_S)


@dataclass(slots=True)
class Upstream:
    """A HolderSearch.  The holders before this one are dialled once; who of them is nearest is
    asked first, where that fails the next, and the uploader at last.  With ``both`` the uploader is
    asked as the first is."""

    uploader: Link
    key: DhtKey
    dial: Dial
    records: Sequence[ContactRecord] | None  # who is to be dialled
    both: bool = False
    before: Sequence[Link] = ()  # those that were dialled
    _finds: Finds | None = None
    _unit: Unit | None = None

    async def search(self, unit: Unit, finds: Finds) -> None:
        self._unit, self._finds = unit, finds
        records, self.records = self.records, None
        if records is not None:
            dials = [partial(self._dialled, each) for each in records]
            links = await run_all(dials, UPSTREAMS_MAX)
            self.before = [link for link in links if link is not None]
            self._introduce(finds)
        if self.uploader.alive:
            rank = 0 if self.both else len(self.before)
            finds.connected(self.uploader, Terms(rank=rank, relaying=True))

    def _introduce(self, finds: Finds) -> None:
        heard = Heard(asyncio.get_running_loop().time())
        for rank, link in enumerate(self.before):
            patience = Patience(len(self.before) - rank, heard)
            finds.connected(link, Terms(self.key, rank, patience))

    async def change(self, records: Sequence[ContactRecord], *, both: bool) -> None:
        """Others are before this one from now on, or nobody."""
        self.records, self.both = records, both
        if self._finds is not None and self._unit is not None:
            await self.search(self._unit, self._finds)

    async def _dialled(self, record: ContactRecord) -> Link | None:
        try:
            async with asyncio.timeout(RELAY_DIAL_S):
                return await self.dial(record, self.uploader.origin)
        except (DhtstoreError, TimeoutError):
            return None
