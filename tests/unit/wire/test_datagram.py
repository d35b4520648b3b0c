"""Messages inside datagrams, and packed contacts."""

from __future__ import annotations

import msgspec
import pytest

from dhtstore.errors import RemoteProtocolError
from dhtstore.model.contact import Address, Contact, ContactRecord
from dhtstore.model.identity import PublicKey
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import attach
from dhtstore.params import (
    ADDRESSES_PER_TICKET_MAX,
    DOMAIN_LABEL_MAX_BYTES,
    FEATURE_NAME_MAX_CHARS,
    FEATURES_MAX,
    POLICY_MAX_BYTES,
)
from dhtstore.wire import datagram
from dhtstore.wire.datagram import (
    AddProvider,
    AddProviders,
    FindContact,
    FindNode,
    FindPolicy,
    GetProviders,
    Ping,
    Request,
    StoreContact,
    StorePolicy,
    records_that_fit,
)

BIG = 2**62
WIDEST_CONTACT = ContactRecord(
    b"k" * 32,
    (("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 65535),) * ADDRESSES_PER_TICKET_MAX,
    BIG,
    "d" * DOMAIN_LABEL_MAX_BYTES,
    BIG,
    BIG,
    BIG,
    tuple(str(number).rjust(FEATURE_NAME_MAX_CHARS, "f") for number in range(FEATURES_MAX)),
)
WIDEST_RECORD = ProviderRecord(b"k" * 20, b"k" * 32, BIG, BIG, BIG)
CONTACT = attach(WIDEST_CONTACT, b"s" * 64).packed
RECORD = attach(WIDEST_RECORD, b"s" * 64).packed
REQUESTS: list[Request] = [
    Ping(),
    FindNode(b"t" * 20),
    GetProviders(b"k" * 20, 64),
    FindContact(b"n" * 20),
    StoreContact(CONTACT),
    FindPolicy(b"k" * 20),
    StorePolicy(b"p" * POLICY_MAX_BYTES),
    AddProvider(RECORD, CONTACT),
    AddProviders([RECORD] * records_that_fit(len(RECORD), len(CONTACT)), CONTACT),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: type(r).__name__)
def test_requests_come_back_and_fit_a_datagram(request_: Request) -> None:
    frame = datagram.encode_request(b"i" * 20, request_)
    assert frame[:21] == b"\x00" + b"i" * 20
    assert len(frame) - 21 <= datagram.PAYLOAD_MAX_BYTES
    assert datagram.decode_request(frame[21:]) == request_


@pytest.mark.parametrize(
    "payload",
    [
        [],
        ["ping", 1, 2][:0],
        ["find_node"],
        ["find_node", "text"],
        ["get_providers", b"k" * 20, -1],
        ["get_providers", b"k" * 20, 65],
        ["add_provider", [], []],
        ["add_providers", [], CONTACT],
        ["add_providers", [RECORD] * 9, CONTACT],
        ["add_providers", [b"r" * 257], CONTACT],
        ["n" * 33],
        [7],
        [["ping"]],
        {"ping": 1},
    ],
)
def test_a_request_of_another_shape_is_refused(payload: object) -> None:
    with pytest.raises(RemoteProtocolError):
        datagram.decode_request(msgspec.msgpack.encode(payload))


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: type(r).__name__)
def test_further_fields_are_passed_over(request_: Request) -> None:
    later = [*msgspec.msgpack.decode(msgspec.msgpack.encode(request_)), {"more": 1}]
    assert datagram.decode_request(msgspec.msgpack.encode(later)) == request_


def test_an_unknown_procedure_is_told_by_its_name() -> None:
    payload = msgspec.msgpack.encode(["find_value", b"k" * 20, [1]])
    assert datagram.decode_request(payload) == datagram.UnknownProcedure("find_value")


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: type(r).__name__)
def test_a_refusal_answers_every_request(request_: Request) -> None:
    frame = datagram.encode_response(b"i" * 20, datagram.UNSUPPORTED)
    assert datagram.decode_response(request_, frame[21:]) == datagram.UNSUPPORTED


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        datagram.decode_request(msgspec.msgpack.encode(["ping"]) + b"\x00")


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
@pytest.mark.parametrize("storage", [True, False])
def test_contacts_come_back(host: str, storage: bool) -> None:
    contact = Contact.of(PublicKey(b"k" * 32), Address(host, 7401), storage=storage)
    packed = datagram.pack_contact(contact)
    assert datagram.unpack_contact(packed) == contact
    ipv6 = ":" in host
    assert datagram.split_contacts(packed * 3, ipv6=ipv6) == [packed] * 3
    for bad in (packed[:-1], packed * (datagram.CONTACTS_PER_ANSWER_MAX + 1)):
        with pytest.raises(RemoteProtocolError):
            datagram.split_contacts(bad, ipv6=ipv6)


@pytest.mark.parametrize(
    "address", [b"", bytes(6), b"\x01\x02\x03\x04\x00\x00", b"\xe0\x00\x00\x01\x00\x07", bytes(18)]
)
def test_an_address_nothing_can_be_sent_to_is_refused(address: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        datagram.unpack_contact(b"k" * 32 + b"\x00" + address)
