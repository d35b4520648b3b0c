"""Links that this node opens: dialled, proved, and dialled once however many ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address

from dhtstore.errors import ConnectionLost, DhtstoreError, RefusedByNetwork
from dhtstore.model.contact import Address, routable, subnet
from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.net.ports import Clock, Stream, StreamTransport
from dhtstore.node.links.handshake import Credentials, ProvedPeer, greet
from dhtstore.node.links.link import Link
from dhtstore.node.links.race import first_to_succeed
from dhtstore.params import DIAL_HEAD_START_S
from dhtstore.tasks import Supervisor


class Dialler:
    """``open_link`` makes a link of a stream whose other end is proved."""

    def __init__(
        self,
        transport: StreamTransport,
        credentials: Callable[[], Credentials],
        open_link: Callable[[Stream, ProvedPeer], Link],
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self._transport, self._credentials, self._open_link = transport, credentials, open_link
        self._clock, self._supervisor = clock, supervisor
        self._dials: dict[PublicKey, asyncio.Task[Link | DhtstoreError]] = {}

    async def link_to(
        self, public_key: PublicKey, addresses: Sequence[Address], timeout_s: float
    ) -> Link:
        """A new link to a node, by whichever of its addresses leads there first.

        Callers at the same time share one dial.  Raises ConnectionLost, RefusedByNetwork,
        PeerRefused (the node is busy).
        """
        dial = self._dials.get(public_key)
        if dial is None:
            work = self._dial_all(public_key, tuple(addresses), timeout_s)
            dial = self._supervisor.spawn(work, "dial")
            self._dials[public_key] = dial
            dial.add_done_callback(lambda _: self._dials.pop(public_key, None))
        return await _shared(dial)

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
            raise ConnectionLost(f"{address} did not answer within {timeout_s:g} s") from error
        return self._open_link(stream, peer)

    async def _dial_all(
        self, public_key: PublicKey, addresses: Sequence[Address], timeout_s: float
    ) -> Link | DhtstoreError:
        """By the first address that leads to the node."""
        ends_s = self._clock.monotonic_s() + timeout_s

        async def dial(address: Address) -> Link:
            return await self.dial(address, public_key, ends_s - self._clock.monotonic_s())

        attempts = [partial(dial, address) for address in self._nearest_first(addresses)]
        outcome = await first_to_succeed(attempts, DIAL_HEAD_START_S)
        if isinstance(outcome, Link):
            return outcome
        if not outcome:
            name = format_node(node_id(public_key))
            return ConnectionLost(f"no address of node {name} is known")
        refused = [cause for cause in outcome if isinstance(cause, RefusedByNetwork)]
        return refused[0] if refused else outcome[-1]

    def _nearest_first(self, addresses: Sequence[Address]) -> Sequence[Address]:
        """Those in a network that this node is in, the others, and loopback last; each once."""
        each = [address for address in dict.fromkeys(addresses) if routable(address)]
        record = self._credentials().record if len(each) > 1 else None
        if record is None:
            return each
        own = [subnet(address) for address in record.address_list()]
        return sorted(each, key=lambda address: (subnet(address) not in own, _here(address)))

    async def _greeted(self, stream: Stream) -> ProvedPeer:
        try:
            return await greet(stream, self._credentials())
        except BaseException:
            stream.abort()
            raise


def _here(address: Address) -> bool:
    return ip_address(address.host).is_loopback


async def _shared(dial: asyncio.Task[Link | DhtstoreError]) -> Link:
    """The outcome of a dial that others may wait for too."""
    try:
        outcome = await asyncio.shield(dial)
    except asyncio.CancelledError:
        if dial.cancelled():
            raise ConnectionLost("this node is stopping") from None
        raise
    if isinstance(outcome, DhtstoreError):
        raise type(outcome)(*_arguments(outcome)) from outcome
    return outcome


def _arguments(error: DhtstoreError) -> tuple[str, ...]:
    code = getattr(error, "code", None)
    return (str(error),) if code is None else (code, str(error))
