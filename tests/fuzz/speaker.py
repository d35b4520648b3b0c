"""Peers that speak the wire with valid MACs, and what they say before it is mutated."""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.model.contact import Address, Contact, ContactRecord
from dhtstore.model.identity import DhtKey, dht_key
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import Signed, sign
from dhtstore.params import SIGNATURE_BYTES
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import SILENT_BYTES, Request, UnknownProcedure
from simulations.world.ports.crypto import SimCrypto
from tests.fuzz.mutator import Mutator
from tests.unit.dht.world import Member

KEY: Final = dht_key(b"fuzzed")
OTHER_KEY: Final = dht_key(b"fuzzed, too")
LIFETIME_S: Final = 40 * 3600
_ANSWER: Final = bytes((datagram.RESPONSE,))
_REQUEST: Final = bytes((datagram.REQUEST,))


class Speaker:
    """One key at one address of a simulated network; it is heard by ``target`` only."""

    def __init__(self, number: int, target: Member) -> None:
        self.crypto, self.network = SimCrypto(b"speaker %d" % number, b""), target.network
        self.address = Address(f"10.66.{number >> 8}.{number & 255}", 7400)
        self.contact = Contact.of(self.crypto.node.public_key, self.address, storage=True)
        self.peer: Peer = peer_of(self.contact)
        self._keys: dict[bytes, bytes] = {}

    def seal(self, to: bytes, frame: bytes, *, flags: int = 0, cookie: bytes = b"") -> bytes:
        own, network = self.contact.public_key, self.network
        keys = self._keys.get(to)
        if keys is None:
            keys = envelope.session_keys(self.crypto, network, own, to)  # type: ignore[arg-type]
            self._keys[to] = keys
        flags = flags & ~envelope.COOKIE | (envelope.COOKIE if cookie else 0)
        header = envelope.header_of(network, flags, own)
        return envelope.seal(self.crypto, header, keys, frame, cookie=cookie)

    def request(self, to: bytes, rng: random.Random, payload: bytes, **outside: Any) -> bytes:
        message_id = rng.randbytes(envelope.MESSAGE_ID_BYTES)
        return self.seal(to, _REQUEST + message_id + payload, **outside)

    def answer(self, to: bytes, message_id: bytes, payload: bytes, *, flags: int = 0) -> bytes:
        return self.seal(to, _ANSWER + message_id + payload, flags=flags)

    def signed(self, issued_s: int, key: DhtKey = KEY) -> tuple[bytes, bytes]:
        """A provider record of ``key`` and a contact record, both in order."""
        own, signer = self.contact.public_key, self.crypto.node
        until_s, (host, port) = issued_s + LIFETIME_S, self.address
        provider = ProviderRecord(key, own, issued_s, issued_s, until_s)
        contact = ContactRecord(own, ((host, port),), 1, "", issued_s, issued_s, until_s)
        return (
            sign(provider, self.network, signer).packed,
            sign(contact, self.network, signer).packed,
        )

    def resigned(self, kind: type[Signed], packed: bytes, mutator: Mutator) -> bytes:
        """What this speaker says is mutated, and signed by its key all the same."""
        body = mutator.message(packed[SIGNATURE_BYTES:])
        said = kind.signing_domain + self.network.binding + body
        return self.crypto.node.sign(said) + body


def odd_records(speaker: Speaker, issued_s: int, mutator: Mutator) -> bytes:
    """The payload of a request to keep signed records that say something odd."""
    provider, contact = speaker.signed(issued_s)
    dice = mutator.rng.random()
    if dice < 0.7:
        contact = speaker.resigned(ContactRecord, contact, mutator)
    if dice > 0.5:
        provider = speaker.resigned(ProviderRecord, provider, mutator)
    said: list[object] = ["add_provider", provider, contact]
    if mutator.rng.random() < 0.3:
        said = ["add_providers", [provider, speaker.signed(issued_s, OTHER_KEY)[0]], contact]
    return msgspec.msgpack.encode(["store_contact", contact] if dice < 0.3 else said)


def requests(speaker: Speaker, issued_s: int) -> list[bytes]:
    """Payloads of one request of each kind, and of one that a later version may have."""
    provider, contact = speaker.signed(issued_s)
    every: list[list[object]] = [
        ["ping"],
        ["find_node", KEY],
        ["get_providers", KEY, 0],
        ["find_contact", speaker.contact.node],
        ["store_contact", contact],
        ["add_provider", provider, contact],
        ["add_providers", [provider, speaker.signed(issued_s, OTHER_KEY)[0]], contact],
        ["of_a_later_version", 1],
    ]
    return [msgspec.msgpack.encode(each) for each in every]


def answers(
    request: Request | UnknownProcedure,
    speaker: Speaker,
    issued_s: int,
    near: list[Speaker],
    odd: Mutator | None = None,
) -> bytes:
    """The payload of a good answer to a request; with ``odd`` its records are mutated, and signed
    then."""
    provider, contact = speaker.signed(issued_s)
    if odd is not None:
        provider = speaker.resigned(ProviderRecord, provider, odd)
        contact = speaker.resigned(ContactRecord, contact, odd)
    contacts = b"".join(each.peer.packed for each in near)
    if isinstance(request, datagram.Ping):
        told: object = [datagram.pack_address(speaker.address), issued_s]
    elif isinstance(request, datagram.FindNode):
        told = [contacts]
    elif isinstance(request, datagram.GetProviders):
        others = b"".join(each.contact.public_key[:SILENT_BYTES] for each in near)
        told = [1, [[provider, contact, 60]], contacts, others]
    elif isinstance(request, datagram.FindContact):
        told = [contact, contacts]
    elif isinstance(request, datagram.FindPolicy):
        told = [provider, contacts]
    elif isinstance(request, datagram.AddProviders):
        told = [["kept"] * len(request.records)]
    elif isinstance(request, UnknownProcedure):
        told = {"code": "unsupported"}
    else:
        told = ["kept"]
    return msgspec.msgpack.encode(told)
