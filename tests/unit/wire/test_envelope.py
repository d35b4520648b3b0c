"""The outside of datagrams: what is proved, by whom, for whom."""

from __future__ import annotations

import pytest

from dhtstore.model.network import Network
from dhtstore.params import DATAGRAM_MAX_BYTES, FIRST_REQUEST_PADDED_BYTES
from dhtstore.wire import envelope
from simulations.world.ports.crypto import SimCrypto

A, B = SimCrypto(b"a", b"a"), SimCrypto(b"b", b"b")
HOME = Network("home")
FRAME = b"\x00" + b"i" * 20 + b"payload\x00\x00"


def _keys(own: SimCrypto, peer: SimCrypto, network: Network = HOME) -> bytes:
    return envelope.session_keys(own, network, own.node.public_key, peer.node.public_key)


def _sealed(network: Network = HOME, **options: object) -> bytes:
    header = envelope.header_of(network, envelope.STORAGE, A.node.public_key)
    return envelope.seal(A, header, _keys(A, B, network), FRAME, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size_bytes", [0, FIRST_REQUEST_PADDED_BYTES, DATAGRAM_MAX_BYTES])
def test_the_receiver_gets_the_frame_whatever_the_padding(size_bytes: int) -> None:
    data = _sealed(size_bytes=size_bytes)
    assert len(data) == max(size_bytes, envelope.OVERHEAD_BYTES + len(FRAME))
    opened = envelope.parse(data)
    assert opened == (envelope.STORAGE, A.node.public_key, b"", FRAME)
    assert data.startswith(HOME.datagram_prefix)
    assert envelope.verify(B, _keys(B, A), data)


def test_every_bit_counts() -> None:
    data = _sealed(size_bytes=120)
    for at in range(len(data)):
        changed = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        assert not envelope.verify(B, _keys(B, A), changed), at


def test_a_datagram_cannot_be_turned_around_or_carried_to_another_network() -> None:
    data = _sealed()
    assert not envelope.verify(A, _keys(A, B), data), "back to its sender"
    away = Network("away")
    assert not data.startswith(away.datagram_prefix)
    assert not envelope.verify(
        B, _keys(B, A, away), away.datagram_prefix + data[len(away.datagram_prefix) :]
    )


@pytest.mark.parametrize("length", [0, 1, 58, 59, DATAGRAM_MAX_BYTES + 1])
def test_a_datagram_of_impossible_length_is_malformed(length: int) -> None:
    assert envelope.parse(bytes(length)) is None


def test_a_frame_that_claims_more_than_came_is_malformed() -> None:
    assert envelope.parse(_sealed()[:-1]) is None


def test_a_cookie_travels_under_the_mac() -> None:
    header = envelope.header_of(HOME, envelope.COOKIE, A.node.public_key)
    data = envelope.seal(A, header, _keys(A, B), FRAME, cookie=b"c" * 16)
    opened = envelope.parse(data)
    assert opened is not None
    assert (opened.cookie, opened.frame) == (b"c" * 16, FRAME)
    assert envelope.verify(B, _keys(B, A), data)


def test_a_challenge_is_smaller_than_any_request_and_comes_back_whole() -> None:
    data = envelope.challenge(HOME, B.node.public_key, b"i" * 20, b"c" * 16)
    assert envelope.parse_challenge(data) == (B.node.public_key, b"i" * 20, b"c" * 16)
    assert len(data) < len(_sealed())
    assert envelope.parse_challenge(_sealed()) is None
