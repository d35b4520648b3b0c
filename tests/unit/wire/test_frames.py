"""Frames: what goes out comes back, and nothing beyond the limits gets in."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.errors import LocalProtocolError, RemoteProtocolError
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.params import (
    FRAME_BODY_MAX_BYTES,
    FRAME_HEADER_MAX_BYTES,
    PROTOCOL_VERSION,
    UNIT_ROOTS_MAX_BYTES,
    WANTS_PER_REQUEST_MAX,
)
from dhtstore.wire.frames import (
    PREFIX,
    Accepted,
    Auth,
    Blocks,
    Cancel,
    Declined,
    GetBlocks,
    Hello,
    Message,
    Offer,
    Progress,
    Refused,
    Release,
    Released,
    Replicate,
    Welcome,
    decode,
    decode_prefix,
    encode,
)

CID = Cid.of(b"x")
POLICY = Policy(b"o" * 32, CID.raw, 1, 3, 0, False, b"s" * 64)
MESSAGES: list[Message] = [
    Hello(PROTOCOL_VERSION, "main", b"n" * 32),
    Auth(PROTOCOL_VERSION, "main", b"k" * 32, b"s" * 64),
    Welcome(),
    Refused("network", "another network"),
    GetBlocks((CID.raw,) * WANTS_PER_REQUEST_MAX, request=7),
    Blocks((0, 1), (5, 6), (2,), request=7),
    Offer((CID.raw,), False, 2**40, POLICY, request=8),
    Accepted(3, 60.0, request=8),
    Replicate(3, request=9),
    Progress(2**30, request=9),
    Release(3, request=10),
    Released(request=10),
    Declined("no-room", "the disk is full", request=11),
    Cancel(12),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_survives_the_wire(message: Message) -> None:
    body_bytes = 11 if isinstance(message, Blocks) else 0
    frame = encode(message, body_bytes)
    header_bytes, told_bytes = decode_prefix(frame[: PREFIX.size])
    assert (header_bytes, told_bytes) == (len(frame) - PREFIX.size, body_bytes)
    assert decode(frame[PREFIX.size :], body_bytes) == message


def test_the_largest_offer_fits_a_frame() -> None:
    roots = (CID.raw,) * (UNIT_ROOTS_MAX_BYTES // len(CID.raw))
    frame = encode(Offer(roots, False, 1, POLICY))
    assert decode(frame[PREFIX.size :], 0) == Offer(roots, False, 1, POLICY)


@pytest.mark.parametrize(
    "sizes",
    [
        (0, 0),
        (FRAME_HEADER_MAX_BYTES + 1, 0),
        (1, FRAME_BODY_MAX_BYTES + 1),
        (2**32 - 1, 2**32 - 1),
    ],
)
def test_a_prefix_beyond_the_limits_is_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_prefix(PREFIX.pack(*sizes))


def test_what_we_send_is_held_to_the_same_limits() -> None:
    with pytest.raises(LocalProtocolError):
        encode(Blocks((0,), (1,)), FRAME_BODY_MAX_BYTES + 1)


BAD = [
    GetBlocks((), request=1),
    GetBlocks((CID.raw,) * (WANTS_PER_REQUEST_MAX + 1), request=1),
    GetBlocks((b"x" * 1000,), request=1),
    Hello(1, "n" * 65, b"n" * 32),
    Hello(1, "main", b"short"),
    Auth(1, "main", b"k" * 31, b"s" * 64),
    Blocks((WANTS_PER_REQUEST_MAX,), (0,)),
    Blocks((0,), (2**21 + 1,)),
    Declined("x" * 33, ""),
    Declined("x", "y" * 513),
    Cancel(-1),
    Accepted(1, float("inf")),
    Accepted(1, float("nan")),
]


@pytest.mark.parametrize("message", BAD, ids=repr)
def test_messages_beyond_the_limits_are_refused(message: Message) -> None:
    header = msgspec.msgpack.encode(message)
    body_bytes = sum(message.sizes) if isinstance(message, Blocks) else 0
    with pytest.raises(RemoteProtocolError):
        decode(header, body_bytes)


@pytest.mark.parametrize("body_bytes", [0, 10, 12])
def test_a_body_that_is_not_the_blocks_announced_is_refused(body_bytes: int) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(msgspec.msgpack.encode(Blocks((0, 1), (5, 6))), body_bytes)


def test_only_blocks_have_a_body() -> None:
    with pytest.raises(RemoteProtocolError):
        decode(msgspec.msgpack.encode(Welcome()), 1)


def test_further_fields_are_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        decode(msgspec.msgpack.encode([31, 1, 2]), 0)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        decode(b"\x91" * 100_000 + b"\x00", 0)


@given(st.binary(min_size=1, max_size=200))
def test_garbage_is_refused_or_a_message_and_never_anything_else(header: bytes) -> None:
    try:
        message = decode(header, 0)
    except RemoteProtocolError:
        return
    assert isinstance(message, Message)


@given(st.sampled_from(MESSAGES), st.data())
def test_a_damaged_message_never_raises_anything_else(
    message: Message, data: st.DataObject
) -> None:
    header = bytearray(encode(message)[PREFIX.size :])
    at = data.draw(st.integers(0, len(header) - 1))
    header[at] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(header), 0)
    except RemoteProtocolError:
        pass
    else:
        assert decode(bytes(header), 0) == decode(bytes(header), 0)
