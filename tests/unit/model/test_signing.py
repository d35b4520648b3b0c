"""Signed objects keep the bytes that were signed, also those of a later version."""

from __future__ import annotations

import msgspec
import pytest

from dhtstore.errors import InvalidSignature, RemoteProtocolError
from dhtstore.model.contact import ContactRecord
from dhtstore.model.network import Network
from dhtstore.model.policy import Grant, Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import Signed, attach, check, sign, unpack
from dhtstore.params import (
    CONTACT_RECORD_MAX_BYTES,
    FEATURE_NAME_MAX_CHARS,
    FEATURES_MAX,
    GRANT_MAX_BYTES,
    IDENTITY_DIGEST_MAX_BYTES,
    POLICY_MAX_BYTES,
    PROVIDER_RECORD_MAX_BYTES,
    RECEIPT_MAX_BYTES,
    SIGNATURE_BYTES,
)
from simulations.world.ports.crypto import SimCrypto

HOME, OTHER = Network("main"), Network("other")
CRYPTO = SimCrypto(b"node", b"owner")
KEY = CRYPTO.node.public_key
BIG = 2**62
CID_BYTES = b"c" * (IDENTITY_DIGEST_MAX_BYTES + 8)
OBJECTS: list[Signed] = [
    ProviderRecord(b"k" * 20, KEY, 1, 2, 3),
    ContactRecord(KEY, (("10.0.0.1", 7400),), 5, "rack", 1, 2, 3),
    Policy(KEY, b"root", 1, 3, 0, False),
    Grant(KEY, b"root", bytes(20), 135, 1),
    Receipt(1, "main", b"n" * 20, KEY, b"unit", b"root", 5, 1, b"o" * 32, 1, 2, 0),
]
every_object = pytest.mark.parametrize("unsigned", OBJECTS, ids=lambda o: type(o).__name__)


def of_a_later_version(unsigned: Signed) -> bytes:
    """Signed with fields that this version does not know."""
    fields = [*msgspec.msgpack.decode(msgspec.msgpack.encode(unsigned)), "later", {"x": [1]}]
    body = msgspec.msgpack.encode(fields)
    return CRYPTO.node.sign(unsigned.signing_domain + HOME.binding + body) + body


@every_object
def test_what_is_unpacked_is_what_was_signed(unsigned: Signed) -> None:
    signed = sign(unsigned, HOME, CRYPTO.node)
    again = unpack(type(unsigned), signed.packed)
    assert again == signed
    assert hash(again) == hash(signed)
    assert again != unsigned
    check(again, HOME, CRYPTO)


@every_object
def test_fields_of_a_later_version_stay_and_are_covered_by_the_signature(unsigned: Signed) -> None:
    packed = of_a_later_version(unsigned)
    signed = unpack(type(unsigned), packed)
    check(signed, HOME, CRYPTO)
    assert signed.packed == packed
    assert msgspec.structs.astuple(signed) == msgspec.structs.astuple(unsigned)  # type: ignore[arg-type]
    for at in range(SIGNATURE_BYTES, len(packed)):
        changed = packed[:at] + bytes((packed[at] ^ 1,)) + packed[at + 1 :]
        with pytest.raises((InvalidSignature, RemoteProtocolError)):
            check(unpack(type(unsigned), changed), HOME, CRYPTO)


@every_object
def test_two_that_differ_only_in_what_is_not_known_are_not_the_same(unsigned: Signed) -> None:
    assert unpack(type(unsigned), of_a_later_version(unsigned)) != sign(unsigned, HOME, CRYPTO.node)


@every_object
def test_a_signature_holds_in_its_own_network_only(unsigned: Signed) -> None:
    with pytest.raises(InvalidSignature):
        check(sign(unsigned, HOME, CRYPTO.node), OTHER, CRYPTO)


@every_object
def test_a_changed_copy_is_unsigned(unsigned: Signed) -> None:
    signed = sign(unsigned, HOME, CRYPTO.node)
    copy = msgspec.structs.replace(signed)  # type: ignore[type-var]
    assert not hasattr(copy, "packed")
    assert copy == unsigned


@every_object
def test_no_object_passes_for_another(unsigned: Signed) -> None:
    packed = sign(unsigned, HOME, CRYPTO.node).packed
    for other in OBJECTS:
        if type(other) is not type(unsigned):
            with pytest.raises((InvalidSignature, RemoteProtocolError)):
                check(unpack(type(other), packed), HOME, CRYPTO)


@every_object
@pytest.mark.parametrize("cut", [0, 1, SIGNATURE_BYTES, SIGNATURE_BYTES + 1, -1])
def test_one_that_is_cut_short_is_refused(unsigned: Signed, cut: int) -> None:
    packed = sign(unsigned, HOME, CRYPTO.node).packed[:cut]
    with pytest.raises(RemoteProtocolError):
        unpack(type(unsigned), packed)


WIDEST: list[tuple[Signed, int]] = [
    (ProviderRecord(b"k" * 20, KEY, BIG, BIG, BIG), PROVIDER_RECORD_MAX_BYTES),
    (
        ContactRecord(
            KEY,
            (("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 65535),) * 4,
            BIG,
            "d" * 64,
            BIG,
            BIG,
            BIG,
            ("f" * FEATURE_NAME_MAX_CHARS,) * FEATURES_MAX,
        ),
        CONTACT_RECORD_MAX_BYTES,
    ),
    (Policy(KEY, CID_BYTES, BIG, 64, BIG, False), POLICY_MAX_BYTES),
    (Grant(KEY, CID_BYTES, bytes(20), BIG, BIG), GRANT_MAX_BYTES),
    (
        Receipt(1, "n" * 64, b"n" * 20, KEY, CID_BYTES, CID_BYTES, BIG, BIG, KEY, BIG, BIG, BIG),
        RECEIPT_MAX_BYTES,
    ),
]


@pytest.mark.parametrize(("widest", "limit"), WIDEST, ids=lambda o: type(o).__name__)
def test_the_widest_of_today_leave_room_for_later_versions(widest: Signed, limit: int) -> None:
    assert len(attach(widest, bytes(SIGNATURE_BYTES)).packed) <= limit - 64
