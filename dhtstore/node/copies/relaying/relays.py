"""Receives that others are served from while they run: who, of which unit, and until when.

Only the uploader says who, over its own link and for its own reservation; only blocks of that
receive are shown, and only by the key of its unit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from dhtstore.errors import PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.signing import unpack
from dhtstore.node.copies.relaying.upstream import Dial, Upstream, nobody
from dhtstore.node.copies.relaying.window import RelayMemory, RelayWindow
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import RELAY_BEGIN_S, REROUTES_MAX
from dhtstore.store.blocks.contract import Batch
from dhtstore.wire.frames import Replicate, Reroute, Rerouted

_LOOK_S: Final = RELAY_BEGIN_S / 4  # between two looks of one who waits, at whether it is in vain


@dataclass(eq=False, slots=True)
class Relay:
    """One receive.  ``served`` are those who may be; ``batch`` is where it is staged,
    once it is.  Keep telling ``advanced`` when something came: who waits looks again."""

    reservation: int
    served: frozenset[PublicKey]
    upstream: Upstream
    window: RelayWindow
    batch: Batch | None = None
    ended: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _turns: dict[PublicKey, asyncio.Lock] = field(default_factory=dict)
    _reroutes: int = 0

    @property
    def key(self) -> DhtKey:
        return self.upstream.key

    def keep(self, blocks: Sequence[tuple[Cid, bytes | memoryview]]) -> None:
        """Verified blocks that came, for worker threads."""
        if self.served:
            self.window.keep(blocks)

    def telling(self, progress: Callable[[int], None]) -> Callable[[int], None]:
        """The same progress, of which those who wait hear, too."""

        def advanced(done_bytes: int) -> None:
            progress(done_bytes)
            self.advanced()

        return advanced

    def turn(self, peer: PublicKey) -> asyncio.Lock:
        """Held while that peer is answered: one answer at a time."""
        return self._turns.setdefault(peer, asyncio.Lock())

    def advanced(self) -> None:
        """Blocks came, or it ended."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    @property
    def news(self) -> asyncio.Event:
        """Set when something comes; look at it before you look for what may have come."""
        return self._news

    async def more(self, news: asyncio.Event, until_s: float) -> bool:
        """Wait for ``news``; False if it is in vain: it has ended, or ``until_s`` has passed."""
        if news.is_set():
            return True
        if not self.ended:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until_s):
                    await news.wait()
        return news.is_set()

    def reroute(self, downstream: Collection[bytes]) -> None:
        """Others may be served from now on.  Raises PeerRefused when that is said too often."""
        self._reroutes += 1
        if self._reroutes > REROUTES_MAX:
            raise PeerRefused("busy", "a receive is not rerouted so often")
        self.served = frozenset(map(PublicKey, downstream))


class Relays:
    """All of one node.  ``expected`` tells whether room is set aside for a unit that may come;
    ``meets`` is how others are reached who receive the same."""

    def __init__(self, identity: Identity, expected: Callable[[bytes], bool]) -> None:
        self.memory = RelayMemory()
        self.meets: Dial = nobody
        self._identity, self._expected = identity, expected
        self._running: dict[Relay, None] = {}
        self._begun = asyncio.Event()

    @contextmanager
    def running(self, link: Link, message: Replicate, key: DhtKey) -> Iterator[Relay]:
        """Around one receive.  Raises RemoteProtocolError, InvalidSignature."""
        allowed = frozenset(map(PublicKey, message.downstream))
        upstream = Upstream(link, key, self.meets, self._records(message.upstream))
        relay = Relay(message.reservation, allowed, upstream, self.memory.window())
        self._running[relay] = None
        begun, self._begun = self._begun, asyncio.Event()
        begun.set()
        try:
            yield relay
        finally:
            del self._running[relay]
            relay.ended, relay.batch = True, None
            relay.window.close()
            relay.advanced()

    async def on_reroute(self, link: Link, message: Reroute, reply: Reply) -> None:
        """The handler of Reroute.  Raises PeerRefused, RemoteProtocolError, InvalidSignature."""
        relay, records = self._of(link, message.reservation), self._records(message.upstream)
        relay.reroute(message.downstream)
        await reply(Rerouted())
        await relay.upstream.change(records, both=message.both)

    def _records(self, upstream: Sequence[bytes]) -> list[ContactRecord]:
        """Who is said to be before this node."""
        records = [unpack(ContactRecord, packed) for packed in upstream]
        for record in records:
            self._identity.check(record)
        return records

    def _of(self, link: Link, reservation: int) -> Relay:
        """Raises PeerRefused unless that receive of that link is under way."""
        for relay in self._running:
            if relay.upstream.uploader is link and relay.reservation == reservation:
                return relay
        raise PeerRefused("reservation", "there is no such receive under way")

    async def serving(self, peer: PublicKey, key: bytes) -> Relay | None:
        """The receive that ``peer`` may be served from; waited for a moment where it was promised
        to come, since its uploader tells both at once."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + RELAY_BEGIN_S
        while (relay := self._allowing(peer, key)) is None:
            left_s = until_s - loop.time()
            if left_s <= 0 or not self._expected(key):
                return None
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _LOOK_S)):
                    await self._begun.wait()
        return relay

    def _allowing(self, peer: PublicKey, key: bytes) -> Relay | None:
        found = (each for each in self._running if each.key == key and peer in each.served)
        return next(found, None)
