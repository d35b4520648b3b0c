"""What the kernel's answers say, and which addresses in them others can count on."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from dhtstore.net.interfaces.netlink import hosts_in, is_last, question

ADDRESS, LOCAL, FLAGS = 1, 2, 8
NEW_ADDRESS, DONE, ERROR = 20, 3, 2


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body + bytes(-len(body) % 4)


def told(host: str, flags: int = 0x80, *, peer: str = "") -> bytes:
    """RTM_NEWADDR of an address; of a tunnel, ``peer`` is its other end."""
    packed = ipaddress.ip_address(host).packed
    family = 2 if len(packed) == 4 else 10
    rest = attribute(FLAGS, struct.pack("=I", flags))
    if peer:
        rest += attribute(ADDRESS, ipaddress.ip_address(peer).packed) + attribute(LOCAL, packed)
    else:
        rest += attribute(ADDRESS, packed)
    return message(NEW_ADDRESS, struct.pack("=BBBBI", family, 24, flags & 0xFF, 0, 2) + rest)


def test_every_address_of_a_part_is_found() -> None:
    assert list(hosts_in(told("10.1.1.1") + told("fd00::1"))) == ["10.1.1.1", "fd00::1"]


def test_the_own_end_of_a_tunnel_is_ours() -> None:
    assert list(hosts_in(told("10.1.1.1", peer="10.1.1.2"))) == ["10.1.1.1"]


@pytest.mark.parametrize(
    ("host", "flags"),
    [("fd00::1", 0x40), ("fd00::1", 0x20), ("fd00::1", 0x08), ("fd00::1", 0x01)],
    ids=["tentative", "deprecated", "failed", "temporary"],
)
def test_what_does_not_last_is_passed_over(host: str, flags: int) -> None:
    assert list(hosts_in(told(host, flags))) == []


def test_a_second_ipv4_address_of_a_subnet_counts() -> None:
    assert list(hosts_in(told("10.1.1.2", 0x01 | 0x80))) == ["10.1.1.2"]


def test_other_messages_are_passed_over() -> None:
    assert list(hosts_in(message(DONE, bytes(4)) + message(16, b"link"))) == []


def test_the_end_is_seen() -> None:
    assert not is_last(told("10.1.1.1"))
    assert is_last(told("10.1.1.1") + message(DONE, bytes(4)))


def test_a_refusal_is_an_error() -> None:
    with pytest.raises(PermissionError):
        is_last(message(ERROR, struct.pack("=i", -1)))


def test_the_question_is_one_message_of_its_own_length() -> None:
    assert struct.unpack_from("=I", question()) == (len(question()),)
