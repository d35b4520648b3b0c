"""Frames: what goes out comes back, and nothing beyond the limits gets in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.errors import LocalProtocolError, RemoteProtocolError
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.signing import attach
from dhtstore.params import (
    CONTACT_RECORD_MAX_BYTES,
    DAG_DEPTH_MAX,
    FEATURE_NAME_MAX_CHARS,
    FEATURES_MAX,
    FRAME_BODY_MAX_BYTES,
    FRAME_HEADER_MAX_BYTES,
    POLICY_MAX_BYTES,
    PROTOCOL_VERSION,
    UNIT_ROOTS_MAX,
    UNIT_ROOTS_MAX_BYTES,
    WANTS_PER_REQUEST_MAX,
)
from dhtstore.wire.frames import (
    HANDSHAKE_TAGS,
    NOTICE_TAGS,
    PREFIX,
    REQUEST_TAGS,
    RESPONSE_TAGS,
    Accepted,
    Auth,
    Blocks,
    Cancel,
    Check,
    Checked,
    Declined,
    Frame,
    FrameRequest,
    FrameResponse,
    GetBlocks,
    Hello,
    Introduction,
    Offer,
    Refused,
    Release,
    Released,
    Replicate,
    Replicating,
    Rule,
    Ruled,
    UnknownFrame,
    UnknownRequest,
    Welcome,
    Wrong,
    decode,
    decode_prefix,
    encode,
)

CID = Cid.of(b"x")
POLICY = attach(Policy(b"o" * 32, CID.raw, 1, 3, 0, False), b"s" * 64).packed
PATH = (CID.raw,) * (DAG_DEPTH_MAX + 1)
MESSAGES: list[Frame] = [
    Hello(PROTOCOL_VERSION, 1, b"n" * 32, ("feature",)),
    Auth(PROTOCOL_VERSION, 1, b"k" * 32, b"n" * 32, b"s" * 64, b"p" * 32),
    Welcome(b"p" * 32, b"r" * 65),
    Introduction(),
    Refused("network", "another network"),
    GetBlocks(cids=(CID.raw,) * WANTS_PER_REQUEST_MAX, request=7),
    Blocks(indices=(0, 1), sizes=(5, 6), missing=(2,), request=7),
    Offer(owner=b"o" * 32, key=b"u" * 20, stored=2**40, blocks=9, word=b"w" * 64, request=8),
    Accepted(reservation=3, expires_s=60.0, request=8),
    Replicate(
        reservation=3,
        roots=(CID.raw,),
        spine=False,
        size=2**40,
        policy=POLICY,
        path=PATH,
        request=9,
    ),
    Replicating(held_bytes=2**30, request=9),
    Release(reservation=3, request=10),
    Released(request=10),
    Check(unit=b"unit", request=11),
    Checked(whole=True, request=11),
    Rule(policy=POLICY, units=(CID.raw,), request=12),
    Ruled(claims=1, others=2, newer=POLICY, request=12),
    Declined(code="no-room", reason="the disk is full", request=11),
    Cancel(12),
    Wrong(CID.raw),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_survives_the_wire(message: Frame) -> None:
    body_bytes = 11 if isinstance(message, Blocks) else 0
    frame = encode(message, body_bytes)
    header_bytes, told_bytes = decode_prefix(frame[: PREFIX.size])
    assert (header_bytes, told_bytes) == (len(frame) - PREFIX.size, body_bytes)
    assert decode(frame[PREFIX.size :], body_bytes) == message


@pytest.mark.parametrize("cid", [CID, Cid(CID.multihash)], ids=["version 1", "version 0"])
def test_the_largest_unit_fits_a_frame(cid: Cid) -> None:
    """A root costs 4 bytes beside its own in a run: see content/dag/units.py."""
    roots = (cid.raw,) * (UNIT_ROOTS_MAX_BYTES // (len(cid.raw) + 4))
    wanted = Replicate(
        reservation=2**63 - 1, roots=roots, spine=False, size=1, policy=POLICY, path=PATH
    )
    assert decode(encode(wanted)[PREFIX.size :], 0) == wanted


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
        encode(Blocks(indices=(0,), sizes=(1,)), FRAME_BODY_MAX_BYTES + 1)


def replicate(**fields: Any) -> Replicate:
    usual = Replicate(reservation=1, roots=(CID.raw,), spine=False, size=1, policy=POLICY)
    return msgspec.structs.replace(usual, **fields)


BAD = [
    GetBlocks(cids=(), request=1),
    GetBlocks(cids=(CID.raw,) * (WANTS_PER_REQUEST_MAX + 1), request=1),
    GetBlocks(cids=(b"x" * 1000,), request=1),
    Hello(256, 1, b"n" * 32),
    Hello(1, 1, b"short"),
    Hello(1, 1, b"n" * 32, ("f",) * (FEATURES_MAX + 1)),
    Hello(1, 1, b"n" * 32, ("f" * (FEATURE_NAME_MAX_CHARS + 1),)),
    Auth(1, 1, b"k" * 31, b"n" * 32, b"s" * 64, b"p" * 32),
    Auth(1, 1, b"k" * 32, b"n" * 31, b"s" * 64, b"p" * 32),
    Wrong(b"x" * 1000),
    Welcome(b"p" * 32, b"r" * (CONTACT_RECORD_MAX_BYTES + 1)),
    Introduction(b"r" * 64),
    Offer(owner=b"o" * 31, key=b"u" * 20, stored=1, blocks=1, word=b"w" * 64),
    Offer(owner=b"o" * 32, key=b"u" * 19, stored=1, blocks=1, word=b"w" * 64),
    Offer(owner=b"o" * 32, key=b"u" * 20, stored=-1, blocks=1, word=b"w" * 64),
    Offer(owner=b"o" * 32, key=b"u" * 20, stored=1, blocks=1, word=b"w" * 63),
    replicate(policy=b"p" * (POLICY_MAX_BYTES + 1)),
    replicate(roots=()),
    replicate(roots=(CID.raw,) * (UNIT_ROOTS_MAX + 1)),
    replicate(path=(CID.raw,) * (DAG_DEPTH_MAX + 2)),
    Blocks(indices=(WANTS_PER_REQUEST_MAX,), sizes=(0,)),
    Blocks(indices=(0,), sizes=(2**21 + 1,)),
    Declined(code="x" * 33, reason=""),
    Declined(code="x", reason="y" * 513),
    Cancel(-1),
    Accepted(reservation=1, expires_s=float("inf")),
    Accepted(reservation=1, expires_s=float("nan")),
]


@pytest.mark.parametrize("message", BAD, ids=repr)
def test_messages_beyond_the_limits_are_refused(message: Frame) -> None:
    header = msgspec.msgpack.encode(message)
    body_bytes = sum(message.sizes) if isinstance(message, Blocks) else 0
    with pytest.raises(RemoteProtocolError):
        decode(header, body_bytes)


@pytest.mark.parametrize("body_bytes", [0, 10, 12])
def test_a_body_that_is_not_the_blocks_announced_is_refused(body_bytes: int) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(msgspec.msgpack.encode(Blocks(indices=(0, 1), sizes=(5, 6))), body_bytes)


def test_only_blocks_have_a_body() -> None:
    with pytest.raises(RemoteProtocolError):
        decode(msgspec.msgpack.encode(Introduction()), 1)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_further_fields_are_passed_over(message: Frame) -> None:
    later = [*msgspec.msgpack.decode(msgspec.msgpack.encode(message)), {"more": [1]}, b"x"]
    body_bytes = 11 if isinstance(message, Blocks) else 0
    assert decode(msgspec.msgpack.encode(later), body_bytes) == message


def test_an_unknown_request_keeps_its_number_whatever_else_is_in_it() -> None:
    header = msgspec.msgpack.encode([REQUEST_TAGS.stop - 1, 7, {"x": 1}, None])
    assert decode(header, body_bytes=5) == UnknownRequest(7)


@pytest.mark.parametrize("tag", [HANDSHAKE_TAGS[-1], RESPONSE_TAGS[-1], NOTICE_TAGS[-1], 0, 255])
def test_other_unknown_frames_tell_their_tag(tag: int) -> None:
    assert decode(msgspec.msgpack.encode([tag, "anything"]), body_bytes=9) == UnknownFrame(tag)
    assert decode(msgspec.msgpack.encode([tag]), body_bytes=0) == UnknownFrame(tag)


@pytest.mark.parametrize("header", [[REQUEST_TAGS[-1]], [REQUEST_TAGS[-1], -1], [256], ["x"], [-1]])
def test_an_unknown_frame_without_what_is_at_fixed_places_is_refused(header: object) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(msgspec.msgpack.encode(header), 0)


def test_every_tag_is_in_the_range_of_its_kind() -> None:
    for message in MESSAGES:
        tag = message.__struct_config__.tag
        ranges = [(FrameRequest, REQUEST_TAGS), (FrameResponse, RESPONSE_TAGS)]
        kinds = [tags for kind, tags in ranges if isinstance(message, kind)]
        assert any(tag in tags for tags in kinds or (HANDSHAKE_TAGS, NOTICE_TAGS))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        decode(b"\x91" * 100_000 + b"\x00", 0)


@given(st.binary(min_size=1, max_size=200))
def test_garbage_is_refused_or_a_message_and_never_anything_else(header: bytes) -> None:
    try:
        message = decode(header, 0)
    except RemoteProtocolError:
        return
    assert isinstance(message, Frame)


@given(st.sampled_from(MESSAGES), st.data())
def test_a_damaged_message_never_raises_anything_else(message: Frame, data: st.DataObject) -> None:
    header = bytearray(encode(message)[PREFIX.size :])
    at = data.draw(st.integers(0, len(header) - 1))
    header[at] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(header), 0)
    except RemoteProtocolError:
        pass
    else:
        assert decode(bytes(header), 0) == decode(bytes(header), 0)
