"""The ports of a node that attacks: what comes in and goes out passes its mask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from dhtstore.errors import RemoteProtocolError
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.net.ports import Crypto, Endpoint, Stream, StreamTransport
from dhtstore.node.ports import Ports
from dhtstore.params import DATAGRAM_MAX_BYTES
from dhtstore.tasks import Supervisor
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import FRAME_OVERHEAD_BYTES, REQUEST, Response, UnknownProcedure
from dhtstore.wire.envelope import Opened
from simulations.events.adversary.answers import Leave, Mask
from simulations.events.adversary.masked_stores import ForgetfulStore, LiarsStore, RefusingStore
from simulations.world.network.endpoint import OnDatagram

OnStream = Callable[[Stream], Awaitable[None]]


def masked(ports: Ports, mask: Mask, forget_after_s: float) -> Ports:
    """The same for a node that behaves as ``mask`` says."""
    ports = replace(ports, endpoint=MaskedEndpoint(ports.endpoint, ports.crypto, mask))
    if mask.behaviour == "drop":
        return replace(ports, streams=MaskedStreams(ports.streams, mask))
    if mask.behaviour == "lie":
        return replace(ports, store=LiarsStore(ports.store, mask))
    if mask.behaviour == "refuse":
        return replace(ports, store=RefusingStore(ports.store, mask))
    if mask.behaviour == "forget":
        store = ForgetfulStore(ports.store, mask, ports.clock, forget_after_s)
        return replace(ports, store=store)
    return ports


class MaskedEndpoint:
    """Answers requests as the mask says, before the node hears of them."""

    def __init__(self, endpoint: Endpoint, crypto: Crypto, mask: Mask) -> None:
        self._endpoint, self._crypto, self._mask = endpoint, crypto, mask
        self._node: OnDatagram = _nobody
        self.send, self.close = endpoint.send, endpoint.close

    @property
    def local(self) -> Address:
        return self._endpoint.local

    @property
    def behind(self) -> bool:
        return self._endpoint.behind

    @property
    def lost(self) -> int:
        return self._endpoint.lost

    async def open(self, on_datagram: OnDatagram, duties: Supervisor) -> None:
        self._node = on_datagram
        await self._endpoint.open(self._hear, duties)

    def _hear(self, data: bytes, source: Address) -> None:
        opened = request_in(data)
        request = opened and decoded(opened)
        if request:
            self._mask.hears(data)
        answer = self._mask.answer(request) if request else Leave.TO_THE_NODE
        if answer is Leave.TO_THE_NODE:
            self._node(data, source)
        elif opened is not None and not isinstance(answer, Leave):
            reply = sealed_answer(self._crypto, self._mask.network, opened, answer)
            if len(reply) <= DATAGRAM_MAX_BYTES:
                self._endpoint.send(reply, source)


def _nobody(data: bytes, source: Address) -> None:
    """Until the node listens."""


def request_in(data: bytes) -> Opened | None:
    """The parts of a datagram that is a request; whether it is the sender's is not looked at."""
    if envelope.parse_challenge(data) is not None:
        return None
    opened = envelope.parse(data)
    asks = opened is not None and opened.frame[:1] == bytes((REQUEST,))
    return opened if asks else None


def decoded(opened: Opened) -> datagram.Request | None:
    """What is asked, if that is known."""
    try:
        request = datagram.decode_request(opened.frame[FRAME_OVERHEAD_BYTES:])
    except RemoteProtocolError:
        return None
    return None if isinstance(request, UnknownProcedure) else request


def sealed_answer(crypto: Crypto, network: Network, asked: Opened, answer: Response) -> bytes:
    """A datagram for who asked: without a challenge first, and as long as it likes."""
    message_id = asked.frame[1:FRAME_OVERHEAD_BYTES]
    frame = datagram.encode_response(message_id, answer)
    return sealed(crypto, network, asked.sender, frame, envelope.PROVED)


def sealed(
    crypto: Crypto,
    network: Network,
    to: PublicKey,
    frame: bytes,
    flags: int = 0,
    cookie: bytes = b"",
) -> bytes:
    """A datagram by the key of ``crypto`` for the key ``to``; a request is as long as can be."""
    own = crypto.node.public_key
    keys = envelope.session_keys(crypto, network, own, to)
    header = envelope.header_of(network, envelope.STORAGE | flags, own)
    size_bytes = DATAGRAM_MAX_BYTES if frame[0] == REQUEST else 0
    return envelope.seal(crypto, header, keys, frame, cookie=cookie, size_bytes=size_bytes)


class MaskedStreams:
    """Accepts every stream and, while the mask is on, says nothing on it."""

    def __init__(self, streams: StreamTransport, mask: Mask) -> None:
        self._streams, self._mask = streams, mask
        self.close, self.dial = streams.close, streams.dial

    async def listen(self, port: int, on_stream: OnStream, duties: Supervisor) -> None:
        async def serve(stream: Stream) -> None:
            while self._mask.on:
                await stream.read_exactly(1)  # until the peer gives up, which ends the stream
            await on_stream(stream)

        await self._streams.listen(port, serve, duties)
