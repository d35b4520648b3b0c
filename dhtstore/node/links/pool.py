"""All connections of one node: one link per peer, shared by everything that talks to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from dhtstore.errors import (
    ConnectionLost,
    DhtstoreError,
    RefusedByNetwork,
    Unreachable,
)
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.model.network import Network
from dhtstore.net.addresses import oldest_of_busiest_host
from dhtstore.net.ports import Clock, Crypto, Entropy, Stream, StreamTransport
from dhtstore.node.links.handshake import Credentials, ProvedPeer, admit, greet, refuse
from dhtstore.node.links.link import Arrival, Backlog, Handler, Link, Reply
from dhtstore.params import CONNECTIONS_MAX, FEATURES, HANDSHAKE_TIMEOUT_S, INBOUND_HANDSHAKES_MAX
from dhtstore.tasks import Supervisor, run_all
from dhtstore.trace import Tracer, no_trace
from dhtstore.wire.frames import FrameRequest

__all__ = ["Arrival", "Handler", "Link", "Links", "Reply"]


class Links:
    """The pool.  Two nodes that dial each other at once may share two links for a while; each
    is used by whoever dialled it and the spare one ends when idle."""

    def __init__(
        self,
        *,
        network: Network,
        crypto: Crypto,
        entropy: Entropy,
        clock: Clock,
        transport: StreamTransport,
        own_record: Callable[[], ContactRecord | None],
        handlers: Mapping[type[FrameRequest], Handler],
        supervisor: Supervisor,
        tracer: Tracer = no_trace,
        on_ended: Callable[[Link], None] = lambda link: None,
    ) -> None:
        self._on_ended, self._backlog = on_ended, Backlog()
        self._network, self._crypto, self._entropy = network, crypto, entropy
        self._clock, self._transport, self._own_record = clock, transport, own_record
        self._handlers, self._supervisor, self._tracer = handlers, supervisor, tracer
        self._by_key: dict[PublicKey, Link] = {}
        self._all: dict[Link, None] = {}
        self._dialling: dict[PublicKey, asyncio.Task[Link | DhtstoreError]] = {}
        self._greeting: dict[Stream, str] = {}  # accepted, not proved yet; their hosts

    async def listen(self, port: int, duties: Supervisor) -> None:
        """Accept links, as one of ``duties``; raises AddressInUse."""
        await self._transport.listen(port, self._accept, duties)

    async def to(
        self, public_key: PublicKey, addresses: Sequence[Address], timeout_s: float
    ) -> Link:
        """The link to a node: the one there is, or a new one, dialling addresses in turn.

        Callers at the same time share one dial.  Raises ConnectionLost, RefusedByNetwork,
        PeerRefused (the node is busy).
        """
        link = self._by_key.get(public_key)
        if link is not None and link.alive:
            return link
        dial = self._dialling.get(public_key)
        if dial is None:
            work = self._dial_in_turn(public_key, tuple(addresses), timeout_s)
            dial = self._supervisor.spawn(work, "dial")
            self._dialling[public_key] = dial
            dial.add_done_callback(lambda _: self._dialling.pop(public_key, None))
        return await _shared(dial)

    async def dial_unknown(self, address: Address, timeout_s: float = HANDSHAKE_TIMEOUT_S) -> Link:
        """A link to whoever answers there; ``link.public_key`` tells who, for pinning.

        Raises ConnectionLost, RefusedByNetwork, PeerRefused.
        """
        return await self._dial(address, None, timeout_s)

    def open_links(self) -> list[Link]:
        """The links there are, oldest first."""
        return list(self._all)

    async def close(self) -> None:
        """Stop accepting and close every link."""
        await run_all([link.close for link in self.open_links()], limit=CONNECTIONS_MAX)
        await self._transport.close()

    # --- dialling ---------------------------------------------------------------------------

    async def _dial_in_turn(
        self, public_key: PublicKey, addresses: tuple[Address, ...], timeout_s: float
    ) -> Link | DhtstoreError:
        """Each address gets its share of the time that is left."""
        ends_s = self._clock.monotonic_s() + timeout_s
        causes: list[DhtstoreError] = []
        for at, address in enumerate(addresses):
            share_s = (ends_s - self._clock.monotonic_s()) / (len(addresses) - at)
            try:
                return await self._dial(address, public_key, share_s)
            except DhtstoreError as error:
                causes.append(error)
        if not causes:
            name = format_node(node_id(public_key))
            return ConnectionLost(f"no address of node {name} is known")
        refused = [cause for cause in causes if isinstance(cause, RefusedByNetwork)]
        return refused[0] if refused else causes[-1]

    async def _dial(
        self, address: Address, expected_key: PublicKey | None, timeout_s: float
    ) -> Link:
        try:
            async with asyncio.timeout(timeout_s):
                stream = await self._transport.dial(address, expected_key, timeout_s)
                peer = await self._greeted(stream)
        except TimeoutError as error:
            raise ConnectionLost(f"{address} did not answer within {timeout_s:g} s") from error
        link = self._add(stream, peer)
        self._supervisor.spawn(self._run(link), "link")
        return link

    async def _greeted(self, stream: Stream) -> ProvedPeer:
        try:
            return await greet(stream, self._credentials())
        except BaseException:
            stream.abort()
            raise

    # --- accepting --------------------------------------------------------------------------

    async def _accept(self, stream: Stream) -> None:
        """One accepted stream, until it ends; what a stranger does wrong costs only itself."""
        try:
            peer = await self._admitted(stream)
            link = self._add(stream, peer)
        except (DhtstoreError, TimeoutError) as error:
            self._tracer("link.refused", address=str(stream.remote), error=repr(error))
            return
        await self._run(link)

    async def _admitted(self, stream: Stream) -> ProvedPeer:
        if len(self._greeting) >= INBOUND_HANDSHAKES_MAX:
            oldest = oldest_of_busiest_host(self._greeting)
            del self._greeting[oldest]
            oldest.abort()
        self._greeting[stream] = stream.remote.host
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                if len(self._all) >= CONNECTIONS_MAX and self._idlest() is None:
                    await refuse(stream, "busy", "this node has too many connections")
                    raise ConnectionLost("too many connections")
                return await admit(stream, self._credentials(), self._entropy)
        finally:
            self._greeting.pop(stream, None)

    # --- the pool ---------------------------------------------------------------------------

    def _credentials(self) -> Credentials:
        record = self._own_record()
        features = FEATURES if record is None else frozenset(record.features)
        return Credentials(self._network, self._crypto, record, features)

    def _add(self, stream: Stream, peer: ProvedPeer) -> Link:
        if not self._make_room():
            stream.abort()
            raise Unreachable("this node has too many connections")
        link = Link(
            stream,
            peer,
            handlers=self._handlers,
            clock=self._clock,
            supervisor=self._supervisor,
            tracer=self._tracer,
            backlog=self._backlog,
        )
        self._all[link] = None
        known = self._by_key.get(link.public_key)
        if known is None or not known.alive:
            self._by_key[link.public_key] = link
        self._tracer("link.open", node=format_node(link.node), address=str(link.remote))
        return link

    def _make_room(self) -> bool:
        """Below CONNECTIONS_MAX, if need be by ending the link that was idle the longest."""
        if len(self._all) < CONNECTIONS_MAX:
            return True
        longest = self._idlest()
        if longest is None:
            return False
        longest.abandon()
        self._remove(longest)
        return True

    def _idlest(self) -> Link | None:
        idle = [link for link in self._all if not link.busy]
        return min(idle, key=lambda link: link.idle_since_s, default=None)

    async def _run(self, link: Link) -> None:
        try:
            await link.run()
        finally:
            self._remove(link)

    def _remove(self, link: Link) -> None:
        if link not in self._all:
            return
        del self._all[link]
        if self._by_key.get(link.public_key) is link:
            del self._by_key[link.public_key]
        self._tracer("link.closed", node=format_node(link.node))
        self._on_ended(link)


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
