"""A peer that holds a key and speaks the wire, and says what a test tells it to say."""

from __future__ import annotations

from collections.abc import Callable

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.model.contact import Address, Contact
from dhtstore.tasks import Supervisor
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import Request, UnknownProcedure
from simulations.world.ports.crypto import SimCrypto
from tests.unit.dht.world import Member, World

Answer = Callable[[Request | UnknownProcedure], bytes | None]


class Rogue:
    """``answer`` gives the payload for a request, None for silence."""

    def __init__(self, world: World, name: bytes = b"rogue", host: str = "10.66.0.1") -> None:
        self.crypto: SimCrypto = world.make_crypto(name, name)
        self.network = world.network
        self.endpoint = world.net.endpoint(Address(host, 7400))
        self.answer: Answer = lambda request: None
        self.requests: list[tuple[bytes, Request | UnknownProcedure]] = []
        self.heard: list[bytes] = []

    @property
    def contact(self) -> Contact:
        return Contact.of(self.crypto.node.public_key, self.endpoint.local)

    @property
    def peer(self) -> Peer:
        return peer_of(self.contact)

    async def open(self) -> Rogue:
        await self.endpoint.open(self._on_datagram, Supervisor())
        return self

    def _on_datagram(self, data: bytes, source: Address) -> None:
        self.heard.append(data)
        opened = envelope.parse(data)
        if opened is None or opened.flags & envelope.CHALLENGE or opened.frame[0]:
            return
        message_id, request = opened.frame[1:21], datagram.decode_request(opened.frame[21:])
        self.requests.append((message_id, request))
        payload = self.answer(request)
        if payload is not None:
            frame = bytes((datagram.RESPONSE,)) + message_id + payload
            self.endpoint.send(self.seal(opened.sender, frame), source)

    def seal(self, to: bytes, frame: bytes, *, flags: int = 0, size_bytes: int = 0) -> bytes:
        keys = envelope.session_keys(
            self.crypto,
            self.network,
            self.crypto.node.public_key,
            to,  # type: ignore[arg-type]
        )
        header = envelope.header_of(self.network, flags, self.crypto.node.public_key)
        return envelope.seal(self.crypto, header, keys, frame, size_bytes=size_bytes)

    def request(self, member: Member, payload: bytes, *, size_bytes: int = 0) -> int:
        """Send a request's payload; returns the size of the datagram."""
        frame = bytes((datagram.REQUEST,)) + b"m" * 20 + payload
        data = self.seal(member.contact.public_key, frame, size_bytes=size_bytes)
        self.endpoint.send(data, member.address)
        return len(data)
