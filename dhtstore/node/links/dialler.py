"""Links that this node opens: dialled, proved, and dialled once however many ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from dhtstore.errors import (
    ConnectionLost,
    DhtstoreError,
    DialTimedOut,
    NoAddress,
    PeerRefused,
    RefusedByNetwork,
)
from dhtstore.model.contact import Address, routable, subnet
from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.net.addresses import is_here
from dhtstore.net.ports import Clock, Entropy, Stream, StreamTransport
from dhtstore.node.links.handshake import Credentials, ProvedPeer, greet
from dhtstore.node.links.link import Link
from dhtstore.node.links.race import Race
from dhtstore.node.links.tries import OnTries, Try, untold
from dhtstore.operations.explaining.causes import cause_of
from dhtstore.params import DIAL_HEAD_START_S
from dhtstore.tasks import Supervisor


class Dialler:
    """``open_link`` makes a link of a stream whose other end is proved."""

    def __init__(
        self,
        transport: StreamTransport,
        credentials: Callable[[], Credentials],
        open_link: Callable[[Stream, ProvedPeer], Link],
        entropy: Entropy,
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self._transport, self._credentials, self._open_link = transport, credentials, open_link
        self._entropy, self._clock, self._supervisor = entropy, clock, supervisor
        self._dials: dict[PublicKey, _Dial] = {}

    async def link_to(
        self,
        public_key: PublicKey,
        addresses: Sequence[Address],
        timeout_s: float,
        on_tries: OnTries = untold,
    ) -> Link:
        """A new link to a node, by whichever of its addresses leads there first.

        Callers at the same time share one dial of all their addresses, and each waits for it
        until its own deadline.  ``on_tries`` is told what came of its addresses.  Raises
        ConnectionLost, RefusedByNetwork, PeerRefused (the node is busy).
        """
        dial = self._dials.get(public_key)
        if dial is None or dial.over:
            dial = self._begin(public_key)
        tried = self._nearest_first(addresses)
        dial.join(tried, self._clock.monotonic_s() + timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                return await dial.link()
        except TimeoutError as error:
            where = ", ".join(map(str, tried)) or f"node {dial.name}"
            late = DialTimedOut(f"{where} did not answer within {timeout_s:g} s")
            raise dial.cause(late) from error
        finally:
            on_tries(dial.tries(tried, timeout_s))

    def _begin(self, public_key: PublicKey) -> _Dial:
        async def attempt(address: Address, timeout_s: float) -> Link:
            return await self.dial(address, public_key, timeout_s)

        dial = _Dial(format_node(node_id(public_key)), attempt, self._clock, self._supervisor)
        self._dials[public_key] = dial
        dial.on_end(lambda: self._forget(public_key, dial))
        return dial

    def _forget(self, public_key: PublicKey, dial: _Dial) -> None:
        if self._dials.get(public_key) is dial:
            del self._dials[public_key]

    async def dial(
        self, address: Address, expected_key: PublicKey | None, timeout_s: float
    ) -> Link:
        """A new link to whoever has that key, None for whoever answers there.

        Raises ConnectionLost, RefusedByNetwork, PeerRefused.
        """
        try:
            async with asyncio.timeout(timeout_s):
                stream = await self._transport.dial(address, expected_key, timeout_s)
                peer = await self._greeted(stream)
        except TimeoutError as error:
            raise DialTimedOut(f"{address} did not answer within {timeout_s:g} s") from error
        return self._open_link(stream, peer)

    def _nearest_first(self, addresses: Sequence[Address]) -> Sequence[Address]:
        """Those in a network that this node is in, the others, and loopback last; each once."""
        each = [address for address in dict.fromkeys(addresses) if routable(address)]
        record = self._credentials().record if len(each) > 1 else None
        if record is None:
            return each
        own = [subnet(address) for address in record.address_list()]
        return sorted(each, key=lambda each: (subnet(each) not in own, is_here(each.host)))

    async def _greeted(self, stream: Stream) -> ProvedPeer:
        try:
            return await greet(stream, self._credentials(), self._entropy)
        except BaseException:
            stream.abort()
            raise


class _Dial:
    """One node being dialled, for all that want a link to it: who joins adds addresses and time."""

    def __init__(
        self,
        name: str,
        attempt: Callable[[Address, float], Awaitable[Link]],
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self.name = name
        self._dial, self._clock = attempt, clock
        self._race: Race[Link] = Race(DIAL_HEAD_START_S)
        self._ends_s: dict[Address, float] = {}  # when the last that named it gives up
        self._tries: dict[Address, Try] = {}
        self._task = supervisor.spawn(self._race.winner(), "dial")

    @property
    def over(self) -> bool:
        """Whether all addresses have failed, or all callers given up: it is too late to join."""
        now_s = self._clock.monotonic_s()
        return self._race.lost or all(now_s >= ends_s for ends_s in self._ends_s.values())

    def on_end(self, ended: Callable[[], None]) -> None:
        self._task.add_done_callback(lambda _: ended())

    def join(self, addresses: Sequence[Address], ends_s: float) -> None:
        """Try these too, after the others, until ``ends_s`` on the clock's monotonic scale."""
        for address in addresses:
            if address not in self._ends_s:
                self._race.add(partial(self._attempt, address))
            self._ends_s[address] = max(ends_s, self._ends_s.get(address, ends_s))

    async def link(self) -> Link:
        """Wait for it with the others; raises why there is none."""
        try:
            link: Link | None = await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if self._task.cancelled():
                raise ConnectionLost("this node is stopping") from None
            raise
        if link is None:
            unknown = NoAddress(f"no address of node {self.name} is known")
            raise self.cause([unknown, *self._race.causes][-1])
        return link

    def cause(self, last: DhtstoreError) -> DhtstoreError:
        """Why there is no link: that the node declined at one of its addresses, else that another
        answered there, else ``last``.  Each caller gets an error of its own."""
        causes = self._race.causes
        declined = [cause for cause in causes if isinstance(cause, PeerRefused)]
        refused = [cause for cause in causes if isinstance(cause, RefusedByNetwork)]
        told = [*declined, *refused, last][0]
        return type(told)(*_arguments(told))

    def tries(self, addresses: Sequence[Address], timeout_s: float) -> list[Try]:
        """What came of those that were begun; one that nothing came of in all the time did not
        answer, and one that another has outrun is passed over."""
        now_s, told = self._clock.monotonic_s(), []
        for each in addresses:
            tried = self._tries.get(each)
            if tried is None:
                continue
            if tried.took_s is None and now_s - tried.began_s < timeout_s / 2:
                continue
            told.append(tried.ended(now_s, f"{each} did not answer within {timeout_s:g} s"))
        return told

    async def _attempt(self, address: Address) -> Link:
        """Again when its time is over and somebody has joined who has more."""
        now_s = self._clock.monotonic_s
        while True:
            ends_s, began_s = self._ends_s[address], now_s()
            self._tries[address] = Try(address, began_s)
            try:
                link = await self._dial(address, ends_s - began_s)
                self._tries[address] = Try(address, began_s, now_s() - began_s)
                return link
            except DhtstoreError as error:
                self._tries[address] = Try(address, began_s, now_s() - began_s, cause_of(error))
                if self._clock.monotonic_s() < ends_s or self._ends_s[address] <= ends_s:
                    raise


def _arguments(error: DhtstoreError) -> tuple[str, ...]:
    code = getattr(error, "code", None)
    return (str(error),) if code is None else (code, str(error))
