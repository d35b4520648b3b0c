"""A stranger with a public address: its keys cost nothing, its address is real."""

from __future__ import annotations

import msgspec

from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import DhtKey
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import sign
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import AddProvider, Ping, Pong, Request, UnknownProcedure
from simulations.world.ports.crypto import SimCrypto
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import HOUR_S, Member, World


class Stranger(Rogue):
    """Answers pings if it is ``reachable``, and challenges by repeating what they are about."""

    def __init__(self, world: World, host: str, *, reachable: bool = False) -> None:
        super().__init__(world, host.encode(), host)
        self.world, self.reachable = world, reachable
        self.answer = self._pong
        self.verdicts: list[str] = []
        self._sent: dict[bytes, tuple[bytes, SimCrypto]] = {}
        self._count = 0

    async def open(self) -> Stranger:
        await super().open()
        return self

    @property
    def unix_s(self) -> int:
        return int(self.world.members[0].clock.unix_s())

    def provide(
        self,
        member: Member,
        key: DhtKey,
        identity: bytes = b"",
        host: str = "",
        lifetime_s: int = 0,
    ) -> None:
        """Send a record of the throw-away key ``identity``, at the address ``host`` that it
        claims; without them of itself."""
        crypto = SimCrypto(identity, identity) if identity else self.crypto
        pair = self.pair(crypto, key, host or self.endpoint.local.host, 40 * HOUR_S)
        self.send(member, pair, crypto)

    def pair(self, crypto: SimCrypto, key: bytes, host: str, lifetime_s: int) -> AddProvider:
        signer, now = crypto.node.public_key, self.unix_s
        record = ProviderRecord(key, signer, 1, now, now + lifetime_s)
        at = ((host, 7400),)
        contact = ContactRecord(signer, at, 1, "", 1, now, now + lifetime_s)
        network = self.network
        return AddProvider(
            sign(record, network, crypto.node).packed, sign(contact, network, crypto.node).packed
        )

    def send(self, member: Member, request: Request, crypto: SimCrypto | None = None) -> None:
        """As the owner of another key, if one is given."""
        self._count += 1
        message_id = self._count.to_bytes(20, "big")
        frame = b"\x00" + message_id + msgspec.msgpack.encode(request)
        self._sent[message_id] = frame, crypto or self.crypto
        self._transmit(member.contact.public_key, frame, crypto or self.crypto, member.address)

    def _transmit(
        self, to: bytes, frame: bytes, crypto: SimCrypto, address: Address, cookie: bytes = b""
    ) -> None:
        own = crypto.node.public_key
        keys = envelope.session_keys(crypto, self.network, own, to)  # type: ignore[arg-type]
        flags = envelope.EPHEMERAL | (envelope.COOKIE if cookie else 0)
        header = envelope.header_of(self.network, flags, own)
        self.endpoint.send(envelope.seal(crypto, header, keys, frame, cookie=cookie), address)

    def _on_datagram(self, data: bytes, source: Address) -> None:
        challenge = envelope.parse_challenge(data)
        if challenge is not None:
            if challenge.message_id not in self._sent:
                return  # about what was sent in another's name
            frame, crypto = self._sent[challenge.message_id]
            self._transmit(challenge.sender, frame, crypto, source, challenge.cookie)
            return
        opened = envelope.parse(data)
        if opened is not None and opened.frame[0] == datagram.RESPONSE:
            said = msgspec.msgpack.decode(opened.frame[21:])
            self.verdicts += [said[0]] if isinstance(said, list) and len(said) == 1 else []
            return
        super()._on_datagram(data, source)

    def _pong(self, request: Request | UnknownProcedure) -> bytes | None:
        if self.reachable and isinstance(request, Ping):
            return msgspec.msgpack.encode(Pong(b"", 0))
        return None
