"""All connections of one node: one link per peer, shared by everything that talks to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from dhtstore.errors import DhtstoreError, TooManyConnections
from dhtstore.model.contact import Address, ContactRecord, followable, subnet
from dhtstore.model.identity import PublicKey, format_node
from dhtstore.model.network import Network
from dhtstore.net.ports import Clock, Crypto, Entropy, Stream, StreamTransport
from dhtstore.node.links.crowd import Attention, giving_way, longest_idle, usable
from dhtstore.node.links.dialler import Dialler
from dhtstore.node.links.handshake import Credentials, ProvedPeer
from dhtstore.node.links.link import Handler, Link
from dhtstore.node.links.newcomers import Newcomers
from dhtstore.node.links.peer_requests import Backlog
from dhtstore.node.links.tries import OnTries, untold
from dhtstore.node.traffic.traffic import Traffic
from dhtstore.params import (
    CONNECTIONS_MAX,
    CONNECTIONS_RESERVED,
    FEATURES,
    HANDSHAKE_TIMEOUT_S,
    IDLE_CONNECTION_TIMEOUT_S,
)
from dhtstore.tasks import Supervisor, run_all
from dhtstore.trace import Tracer, no_trace
from dhtstore.wire.frames import FrameRequest


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
        on_own_key: Callable[[ContactRecord], None] = lambda record: None,
        on_wrong: Callable[[Link, bytes], None] = lambda link, cid: None,
        own_hosts: Callable[[], Iterable[str]] | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        """``on_own_key`` is told what somebody says of itself that proved this node's own key,
        ``on_wrong`` for which CID a peer says that it got wrong bytes.  ``own_hosts`` are the IP
        literals at which this node is itself; those of its record if None."""
        self._network, self._crypto, self._own_record = network, crypto, own_record
        self._clock, self._transport, self._on_own_key = clock, transport, on_own_key
        self._handlers, self._supervisor, self._tracer = handlers, supervisor, tracer
        self._on_ended, self._backlog, self._traffic = on_ended, Backlog(), traffic or Traffic()
        self._attention, self._on_wrong = Attention(clock.monotonic_s()), on_wrong
        self._own_hosts = own_hosts or (lambda: _hosts_of(own_record()))
        self._dialler = Dialler(
            transport, self._credentials, self._dialled, entropy, clock, supervisor
        )
        self._newcomers = Newcomers(self._credentials, entropy, self._busy)
        self._by_key: dict[PublicKey, Link] = {}
        self._all: dict[Link, None] = {}

    async def listen(self, port: int, duties: Supervisor) -> None:
        """Accept links, as one of ``duties``; raises AddressInUse."""
        await self._transport.listen(port, self._accept, duties)

    async def to(
        self,
        public_key: PublicKey,
        addresses: Sequence[Address],
        timeout_s: float,
        on_tries: OnTries = untold,
    ) -> Link:
        """The link to a node: the one there is, or a new one, by whichever of the addresses
        leads there first.  Callers share one dial of all their addresses, and each waits for it
        until its own deadline.  ``on_tries`` is told what came of them.  Raises ConnectionLost,
        RefusedByNetwork, PeerRefused (the node is busy).
        """
        link = usable(self._by_key.get(public_key), self._clock.monotonic_s())
        if link is None:
            return await self._dialler.link_to(public_key, addresses, timeout_s, on_tries)
        if link.busy or link.remote.host in [address.host for address in addresses]:
            return link
        return await self._elsewhere(link, addresses, timeout_s)

    async def _elsewhere(self, link: Link, addresses: Sequence[Address], timeout_s: float) -> Link:
        """The peer is said to be elsewhere than at the other end of ``link``, where silence would
        be noticed late: a new one, unless that cannot be had."""
        try:
            newer = await self._dialler.link_to(link.public_key, addresses, timeout_s)
        except DhtstoreError:
            if link.alive:
                return link
            raise
        self._by_key[link.public_key] = newer
        if not link.busy:
            link.abandon("the peer is at another address now")
        return newer

    async def dial_unknown(self, address: Address, timeout_s: float = HANDSHAKE_TIMEOUT_S) -> Link:
        """A link to whoever answers there; ``link.public_key`` tells who, for pinning.

        Raises ConnectionLost, RefusedByNetwork, PeerRefused.
        """
        return await self._dialler.dial(address, None, timeout_s)

    def followable(self, addresses: Iterable[Address]) -> list[Address]:
        """Those that may be dialled though only others tell of them."""
        own_hosts = frozenset(self._own_hosts())
        return [address for address in addresses if followable(address, own_hosts)]

    def open_links(self) -> list[Link]:
        """The links there are, oldest first."""
        return list(self._all)

    def time_jumped(self, asleep_s: float) -> None:
        """The machine was asleep: peers have given up links that were silent for so long."""
        if asleep_s >= IDLE_CONNECTION_TIMEOUT_S:
            for link in self.open_links():
                link.abandon("this machine was asleep")

    async def close(self) -> None:
        """Stop accepting and close every link."""
        await run_all([link.close for link in self.open_links()], limit=CONNECTIONS_MAX)
        await self._transport.close()

    # --- how links begin --------------------------------------------------------------------

    def _credentials(self) -> Credentials:
        record = self._own_record()
        features = FEATURES if record is None else frozenset(record.features)
        return Credentials(self._network, self._crypto, record, self._clock.unix_s(), features)

    def _dialled(self, stream: Stream, peer: ProvedPeer) -> Link:
        link = self._add(stream, peer, ours=True)
        self._supervisor.spawn(self._run(link), "link")
        return link

    async def _accept(self, stream: Stream) -> None:
        """One accepted stream, until it ends; what a stranger does wrong costs only itself."""
        try:
            peer = await self._newcomers.proved(stream)
            link = self._add(stream, peer, ours=False)
        except (DhtstoreError, TimeoutError) as error:
            self._tracer("link.refused", origin=subnet(stream.remote), error=repr(error))
            return
        await self._run(link)

    def _add(self, stream: Stream, peer: ProvedPeer, *, ours: bool) -> Link:
        if peer.public_key == self._crypto.node.public_key and peer.record is not None:
            self._on_own_key(peer.record)
        if not (self._room_for_ours() if ours else self._room_for_theirs(subnet(stream.remote))):
            stream.abort()
            raise TooManyConnections("this node has too many connections")
        link = Link(
            stream,
            peer,
            ours=ours,
            handlers=self._handlers,
            clock=self._clock,
            supervisor=self._supervisor,
            tracer=self._tracer,
            backlog=self._backlog,
            attention=self._attention,
            on_wrong=self._on_wrong,
            traffic=self._traffic,
        )
        self._all[link] = None
        known = self._by_key.get(link.public_key)
        if known is None or not known.alive:
            self._by_key[link.public_key] = link
        self._tracer("link.open", origin=link.origin, node=format_node(link.node))
        return link

    # --- how they end -----------------------------------------------------------------------

    def _busy(self, origin: str) -> bool:
        """Whether a newcomer of that origin has to go."""
        return self._full() and self._giving_way(origin) is None

    def _room_for_theirs(self, origin: str) -> bool:
        """Make room for a link that somebody of that origin opened; False if it has to go."""
        return not self._full() or self._end(self._giving_way(origin))

    def _room_for_ours(self) -> bool:
        """Others leave CONNECTIONS_RESERVED places; beyond, ours take the place of idle ones."""
        return len(self._all) < CONNECTIONS_MAX or self._end(longest_idle(self._all))

    def _theirs(self) -> list[Link]:
        return [link for link in self._all if not link.ours]

    def _full(self) -> bool:
        """Whether one more that others open takes somebody's place."""
        full = len(self._all) >= CONNECTIONS_MAX
        return full or len(self._theirs()) >= CONNECTIONS_MAX - CONNECTIONS_RESERVED

    def _giving_way(self, origin: str) -> Link | None:
        """Whose place a newcomer of that origin takes: of ours only an idle one, beyond those that
        are reserved."""
        theirs, ours = self._theirs(), [link for link in self._all if link.ours]
        spare = longest_idle(ours) if len(ours) > CONNECTIONS_RESERVED else None
        return spare or giving_way(theirs, origin)

    def _end(self, link: Link | None) -> bool:
        if link is None:
            return False
        link.abandon("its place is given to another")
        self._remove(link)
        return True

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
        self._tracer("link.closed", origin=link.origin, node=format_node(link.node))
        self._on_ended(link)


def _hosts_of(record: ContactRecord | None) -> list[str]:
    return [host for host, _ in record.addresses] if record else []
