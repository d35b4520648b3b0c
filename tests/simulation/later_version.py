"""A node of an invented next version, made of today's by what a later one would add on the way
out: fields at the end of every message and signed object, unknown frames and datagrams, unknown
flags, one more feature and a newer version, beside which it still speaks ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ClassVar, TypeVar

import msgspec

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.model.signing import Signed, Signer, unpack
from dhtstore.net.ports import Crypto, Endpoint, Entropy, Stream, StreamTransport
from dhtstore.node.identity import Identity
from dhtstore.node.links.handshake import Credentials
from dhtstore.node.links.pool import Links
from dhtstore.node.ports import Ports
from dhtstore.params import DATAGRAM_MAX_BYTES, FEATURES, PROTOCOL_VERSION
from dhtstore.tasks import Supervisor
from dhtstore.wire import envelope
from dhtstore.wire.datagram import FRAME_OVERHEAD_BYTES, REQUEST
from dhtstore.wire.frames import (
    HANDSHAKE_TAGS,
    NOTICE_TAGS,
    PREFIX,
    RESPONSE_TAGS,
    FrameRequest,
    FrameResponse,
)

S = TypeVar("S", bound=Signed)
KeyOf = Callable[[Address], PublicKey]
MORE: tuple[object, ...] = ("later", {"x": [1, None]}, b"y" * 9)
FEATURE = "later"
VERSION = PROTOCOL_VERSION + 1
UNKNOWN_FLAGS = 0b1110_0000
UNKNOWN_PROCEDURE = "find_anything"


class LaterRequest(FrameRequest, frozen=True, kw_only=True, tag=0x2F):
    """What only the next version knows how to answer."""

    answers: ClassVar[tuple[type[FrameResponse], ...]] = ()

    what: str


class LaterIdentity(Identity):
    """Signs objects that say more than this version knows."""

    features = FEATURES | {FEATURE}

    def sign(self, unsigned: S) -> S:
        return self._signed(unsigned, self._crypto.node)

    def sign_as_owner(self, unsigned: S) -> S:
        return self._signed(unsigned, self._crypto.owner)

    def _signed(self, unsigned: S, signer: Signer) -> S:
        body = with_more(msgspec.msgpack.encode(unsigned))
        signature = signer.sign(unsigned.signing_domain + self.network.binding + body)
        return unpack(type(unsigned), signature + body)


def with_more(encoded: bytes) -> bytes:
    """The same message with what a later version adds to it."""
    said = msgspec.msgpack.decode(encoded)
    if isinstance(said, dict):
        return msgspec.msgpack.encode({**said, "later": MORE})
    return msgspec.msgpack.encode([*said, *MORE])


class LaterLinks(Links):
    """Speaks the next version, and today's."""

    def _credentials(self) -> Credentials:
        return replace(super()._credentials(), version=VERSION)


class LaterStream:
    """Adds fields to each frame, and frames that ask nothing before each once the handshake is
    over."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._body_left = 0
        self.read_exactly, self.read_into = stream.read_exactly, stream.read_into
        self.close, self.abort = stream.close, stream.abort

    @property
    def remote(self) -> Address:
        return self._stream.remote

    @property
    def remote_key(self) -> PublicKey | None:
        return self._stream.remote_key

    @property
    def binding(self) -> bytes:
        return self._stream.binding

    @property
    def received_bytes(self) -> int:
        return self._stream.received_bytes

    async def write(self, *parts: bytes | bytearray | memoryview) -> None:
        await self._stream.write(*(sent for part in parts for sent in self._later(part)))

    def _later(self, part: bytes | bytearray | memoryview) -> list[bytes | bytearray | memoryview]:
        if self._body_left:
            self._body_left -= len(part)
            return [part]
        header_bytes, self._body_left = PREFIX.unpack_from(part)
        header = bytes(part[PREFIX.size :])
        assert len(header) == header_bytes, "the head of a frame is written as a whole"
        before = [] if msgspec.msgpack.decode(header)[0] in HANDSHAKE_TAGS else _UNKNOWN_FRAMES
        later = with_more(header)
        return [*before, PREFIX.pack(len(later), self._body_left) + later]


def _frame(body: bytes, *header: object) -> bytes:
    encoded = msgspec.msgpack.encode(header)
    return PREFIX.pack(len(encoded), len(body)) + encoded + body


_UNKNOWN_FRAMES = [
    _frame(b"", NOTICE_TAGS[-1], "news"),
    _frame(bytes(5000), RESPONSE_TAGS[-1], 1, "an answer to something"),
    _frame(b"body", 0xFF),
]


class LaterStreams:
    """A StreamTransport of LaterStreams."""

    def __init__(self, streams: StreamTransport) -> None:
        self._streams = streams
        self.close = streams.close

    async def listen(
        self, port: int, on_stream: Callable[[Stream], Awaitable[None]], duties: Supervisor
    ) -> None:
        await self._streams.listen(port, lambda stream: on_stream(LaterStream(stream)), duties)

    async def dial(self, to: Address, expected_key: PublicKey | None, timeout_s: float) -> Stream:
        return LaterStream(await self._streams.dial(to, expected_key, timeout_s))


class LaterEndpoint:
    """Adds fields to what datagrams say and flags to their outside, and to each request one of
    an unknown procedure and a frame of an unknown kind.  ``key_of`` tells who listens where."""

    def __init__(
        self,
        endpoint: Endpoint,
        network: Network,
        crypto: Crypto,
        entropy: Entropy,
        key_of: KeyOf,
    ) -> None:
        self._endpoint, self._network, self._crypto = endpoint, network, crypto
        self._entropy, self._key_of = entropy, key_of
        self.open, self.close = endpoint.open, endpoint.close

    @property
    def local(self) -> Address:
        return self._endpoint.local

    @property
    def behind(self) -> bool:
        return self._endpoint.behind

    @property
    def lost(self) -> int:
        return self._endpoint.lost

    def send(self, data: bytes, to: Address) -> bool:
        if envelope.parse_challenge(data):
            return self._endpoint.send(data + b"later", to)
        opened = envelope.parse(data)
        assert opened is not None
        head = opened.frame[:FRAME_OVERHEAD_BYTES]
        payload = with_more(opened.frame[FRAME_OVERHEAD_BYTES:])
        later = self._sealed(opened, head + payload, len(data), to)
        if opened.frame[0] == REQUEST:
            unknown = msgspec.msgpack.encode([UNKNOWN_PROCEDURE, *MORE])
            other = bytes((REQUEST,)) + self._entropy.random_bytes(envelope.MESSAGE_ID_BYTES)
            self._endpoint.send(self._sealed(opened, other + unknown, 0, to), to)
            self._endpoint.send(self._sealed(opened, b"\x07" + other[1:] + unknown, 0, to), to)
        return self._endpoint.send(later if len(later) <= DATAGRAM_MAX_BYTES else data, to)

    def _sealed(self, opened: envelope.Opened, frame: bytes, size_bytes: int, to: Address) -> bytes:
        own = self._crypto.node.public_key
        keys = envelope.session_keys(self._crypto, self._network, own, self._key_of(to))
        header = envelope.header_of(self._network, opened.flags | UNKNOWN_FLAGS, own)
        return envelope.seal(
            self._crypto, header, keys, frame, cookie=opened.cookie, size_bytes=size_bytes
        )


def later_ports(ports: Ports, network: Network, key_of: KeyOf) -> Ports:
    """The seam of a node of the next version."""
    endpoint = LaterEndpoint(ports.endpoint, network, ports.crypto, ports.entropy, key_of)
    return replace(ports, endpoint=endpoint, streams=LaterStreams(ports.streams))
