"""A stranger: one key at one address, which speaks the protocol as it likes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from dhtstore.errors import InvalidSignature, RemoteProtocolError
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.model.signing import sign
from dhtstore.net.ports import Crypto, Endpoint, Entropy, Stream, StreamTransport
from dhtstore.node.links.buffers import Lease
from dhtstore.node.links.frame_io import read_body, read_message, read_prefix
from dhtstore.node.links.handshake import Credentials, ProvedPeer, admit, greet
from dhtstore.node.ports import OPEN_NETWORK
from dhtstore.params import DIAL_TIMEOUT_S, FIRST_REQUEST_PADDED_BYTES, GIB
from dhtstore.tasks import Supervisor
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import FRAME_OVERHEAD_BYTES, Ping, Pong, Request, Response
from dhtstore.wire.frames import Frame

PENDING_MAX: Final = 4096
A_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Target:
    """A node that strangers know: its key, and where it is reached."""

    public_key: PublicKey
    address: Address
    network: Network = OPEN_NETWORK


@dataclass(frozen=True, slots=True)
class Means:
    """What of the world a stranger has: sockets of its own at an address of its own."""

    crypto: Crypto
    endpoint: Endpoint
    streams: StreamTransport
    entropy: Entropy
    unix_s: Callable[[], float]


Answer = Callable[[Request], Response | None]


class Stranger:
    """Dials the target, is dialled, and exchanges datagrams with it; ``close`` ends all of it."""

    def __init__(self, means: Means, target: Target) -> None:
        self.means, self.target = means, target
        self.answer: Answer = pong
        self.flags = envelope.EPHEMERAL  # of its datagrams: it asks, and stands in no table
        self.crew = Supervisor()
        self._keys: dict[bytes, bytes] = {}
        self._cookies: dict[Address, bytes] = {}
        self._pending: dict[bytes, tuple[Target, Request]] = {}
        self._opened = False

    @property
    def key(self) -> PublicKey:
        return self.means.crypto.node.public_key

    async def close(self) -> None:
        await self.crew.close()
        await self.means.streams.close()
        if self._opened:
            await self.means.endpoint.close()

    # --- connections ------------------------------------------------------------------------

    async def dial(self) -> Stream:
        """TLS, and not a word more."""
        target = self.target
        return await self.means.streams.dial(target.address, target.public_key, DIAL_TIMEOUT_S)

    async def session(self) -> tuple[Stream, ProvedPeer]:
        """A stream over which requests may flow, and what its handshake proved."""
        stream = await self.dial()
        return stream, await greet(stream, self._credentials(None), self.means.entropy)

    async def listen(self, serve: Callable[[Stream], Awaitable[None]]) -> None:
        """Take whoever dials this stranger, which must have sockets open."""

        async def accept(stream: Stream) -> None:
            await admit(stream, self._credentials(self.record()), self.means.entropy)
            await serve(stream)

        await self.means.streams.listen(self.means.endpoint.local.port, accept, self.crew)

    def record(self) -> ContactRecord:
        """Where it is, as a storage node says it."""
        here, now = self.means.endpoint.local, int(self.means.unix_s())
        unsigned = ContactRecord(
            self.key, ((here.host, here.port),), GIB, "", now, now, now + A_DAY_S
        )
        return sign(unsigned, self.target.network, self.means.crypto.node)

    def _credentials(self, record: ContactRecord | None) -> Credentials:
        means = self.means
        return Credentials(self.target.network, means.crypto, record, means.unix_s())

    # --- datagrams --------------------------------------------------------------------------

    async def open(self) -> None:
        """Have a datagram socket."""
        await self.means.endpoint.open(self._received, self.crew)
        self._opened = True

    def send(self, data: bytes, to: Address | None = None) -> None:
        """Any bytes."""
        self.means.endpoint.send(data, to or self.target.address)

    def ask(self, request: Request, of: Target | None = None) -> None:
        """A request in order; it is repeated with the cookie that the other end asks for, and
        nobody waits for its answer."""
        if len(self._pending) >= PENDING_MAX:
            self._pending.clear()
        message_id = self.means.entropy.random_bytes(envelope.MESSAGE_ID_BYTES)
        self._pending[message_id] = of or self.target, request
        self._send(message_id)

    def _send(self, message_id: bytes) -> None:
        to, request = self._pending[message_id]
        cookie = self._cookies.get(to.address, b"")
        flags = self.flags | (envelope.COOKIE if cookie else 0)
        data = envelope.seal(
            self.means.crypto,
            envelope.header_of(to.network, flags, self.key),
            self._keys_with(to.public_key),
            datagram.encode_request(message_id, request),
            cookie=cookie,
            size_bytes=FIRST_REQUEST_PADDED_BYTES,
        )
        self.send(data, to.address)

    def _keys_with(self, peer: PublicKey) -> bytes:
        keys = self._keys.get(peer)
        if keys is None:
            network = self.target.network
            keys = envelope.session_keys(self.means.crypto, network, self.key, peer)
            self._keys[peer] = keys
        return keys

    def _received(self, data: bytes, source: Address) -> None:
        challenge = envelope.parse_challenge(data)
        if challenge is not None:
            if challenge.message_id in self._pending:
                self._cookies[source] = challenge.cookie
                self._send(challenge.message_id)
            return
        opened = envelope.parse(data)
        if opened is None or len(opened.frame) <= FRAME_OVERHEAD_BYTES:
            return
        if opened.frame[0] == datagram.RESPONSE:
            self._pending.pop(opened.frame[1:FRAME_OVERHEAD_BYTES], None)
            return
        try:
            self._answer(opened, source)
        except (RemoteProtocolError, InvalidSignature):
            return

    def _answer(self, opened: envelope.Opened, source: Address) -> None:
        request = datagram.decode_request(opened.frame[FRAME_OVERHEAD_BYTES:])
        if isinstance(request, datagram.UnknownProcedure):
            return
        response = self.answer(request)
        if response is None:
            return
        frame = datagram.encode_response(opened.frame[1:FRAME_OVERHEAD_BYTES], response)
        header = envelope.header_of(self.target.network, self.flags, self.key)
        keys = self._keys_with(opened.sender)
        self.send(envelope.seal(self.means.crypto, header, keys, frame), source)


def pong(request: Request) -> Response | None:
    """To pings, and to nothing else."""
    return Pong(bytes(6)) if isinstance(request, Ping) else None


@contextmanager
def held(stream: Stream) -> Iterator[Stream]:
    """Gone when the block ends."""
    try:
        yield stream
    finally:
        stream.abort()


async def read(stream: Stream) -> tuple[Frame, Lease]:
    """The next frame, whatever it says."""
    sizes = await read_prefix(stream)
    return await read_message(stream, sizes), await read_body(stream, sizes[1])
