"""TCP frames: bytes <-> messages, and every limit on them.

A frame is u32 header length, u32 body length (big-endian), a msgpack header and a raw body.  The
header is a tagged array (msgspec union); only ``Blocks`` has a body: the blocks' bytes one after
the other.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from dhtstore.errors import LocalProtocolError, RemoteProtocolError
from dhtstore.model.contact import ContactRecord
from dhtstore.model.policy import Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.receipt import Receipt
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    FRAME_BODY_MAX_BYTES,
    FRAME_HEADER_MAX_BYTES,
    IDENTITY_DIGEST_MAX_BYTES,
    NETWORK_NAME_MAX_BYTES,
    NONCE_BYTES,
    PUBLIC_KEY_BYTES,
    REASON_MAX_CHARS,
    REFUSAL_CODE_MAX_CHARS,
    SIGNATURE_BYTES,
    UNIT_ROOTS_MAX_BYTES,
    WANTS_PER_REQUEST_MAX,
)

PREFIX: Final = struct.Struct(">II")

_CID_MAX_BYTES: Final = IDENTITY_DIGEST_MAX_BYTES + 8
_U63: Final = 2**63 - 1

Count = Annotated[int, Meta(ge=0, le=_U63)]
CidBytes = Annotated[bytes, Meta(min_length=4, max_length=_CID_MAX_BYTES)]
Key = Annotated[bytes, Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)]
Network = Annotated[str, Meta(max_length=NETWORK_NAME_MAX_BYTES)]
Index = Annotated[int, Meta(ge=0, lt=WANTS_PER_REQUEST_MAX)]
BlockSize = Annotated[int, Meta(ge=0, le=BLOCK_SIZE_MAX_BYTES)]
Code = Annotated[str, Meta(max_length=REFUSAL_CODE_MAX_CHARS)]
Reason = Annotated[str, Meta(max_length=REASON_MAX_CHARS)]


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a frame's header says."""


class Request(Message, frozen=True, kw_only=True):
    """A message that is owed an answer; the asker's session fills in ``request``."""

    request: Count = 0


class Response(Message, frozen=True, kw_only=True):
    """Part of the answer to the peer's ``request``, which the answering session fills in."""

    request: Count = 0


# --- handshake ------------------------------------------------------------------------------


class Hello(Message, frozen=True, tag=1):
    """The acceptor's first word."""

    version: Count
    network: Network
    nonce: Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    record: ContactRecord | None = None


class Auth(Message, frozen=True, tag=2):
    """The dialler proves its key: see node/handshake.py for what is signed."""

    version: Count
    network: Network
    public_key: Key
    signature: Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
    record: ContactRecord | None = None


class Welcome(Message, frozen=True, tag=3):
    """The dialler is who it says; requests may flow both ways."""


class Refused(Message, frozen=True, tag=4):
    """The acceptor closes the connection, and why."""

    code: Code
    reason: Reason


# --- blocks ---------------------------------------------------------------------------------


class GetBlocks(Request, frozen=True, tag=10):
    """Send these blocks; answered by ``Blocks`` until each index was sent or named missing."""

    cids: Annotated[tuple[CidBytes, ...], Meta(min_length=1, max_length=WANTS_PER_REQUEST_MAX)]


class Blocks(Response, frozen=True, tag=11):
    """Some of the blocks asked for: body = the blocks at ``indices``, of ``sizes``, in order."""

    indices: Annotated[tuple[Index, ...], Meta(max_length=WANTS_PER_REQUEST_MAX)]
    sizes: Annotated[tuple[BlockSize, ...], Meta(max_length=WANTS_PER_REQUEST_MAX)]
    missing: Annotated[tuple[Index, ...], Meta(max_length=WANTS_PER_REQUEST_MAX)] = ()


# --- copies ---------------------------------------------------------------------------------


class Offer(Request, frozen=True, tag=20):
    """Will you hold this unit?  Answered by ``Accepted``; no byte moves before."""

    roots: Annotated[tuple[CidBytes, ...], Meta(min_length=1, max_length=UNIT_ROOTS_MAX_BYTES // 4)]
    spine: bool
    size: Count  # content bytes that links claim for the unit
    policy: Policy


class Accepted(Response, frozen=True, tag=21):
    """Room is set aside until ``expires_s`` seconds pass without progress."""

    reservation: Count
    expires_s: Annotated[float, Meta(gt=0, le=86400)]


class Replicate(Request, frozen=True, tag=22):
    """Fetch the unit reserved as ``reservation`` from me; answered by ``Progress`` and ``Held``."""

    reservation: Count


class Progress(Response, frozen=True, tag=23):
    """Still at it: bytes of the unit verified so far."""

    held_bytes: Count


class Held(Response, frozen=True, tag=24):
    """The unit is on disk: the holder's word, and its provider record to publish."""

    receipt: Receipt
    provider: ProviderRecord


class Release(Request, frozen=True, tag=25):
    """Give up a reservation; answered by ``Released``, also when it is gone already."""

    reservation: Count


class Released(Response, frozen=True, tag=26):
    """The reservation is gone."""


# --- any request ----------------------------------------------------------------------------


class Declined(Response, frozen=True, tag=30):
    """The end of a request that is not fulfilled (further), and why."""

    code: Code
    reason: Reason


class Cancel(Message, frozen=True, tag=31):
    """The asker no longer wants an answer; the request still ends, with ``Declined`` at the
    latest, so that both sides agree on what is in flight."""

    request: Count


AnyMessage = (
    Hello | Auth | Welcome | Refused | GetBlocks | Blocks | Offer | Accepted | Replicate
    | Progress | Held | Release | Released | Declined | Cancel
)  # fmt: skip

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[AnyMessage]] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: Message, body_bytes: int = 0) -> bytes:
    """Prefix and header of a frame whose body has ``body_bytes``."""
    header = _encoder.encode(message)
    if len(header) > FRAME_HEADER_MAX_BYTES or body_bytes > FRAME_BODY_MAX_BYTES:
        raise LocalProtocolError(f"a {type(message).__name__} too large for a frame")
    return PREFIX.pack(len(header), body_bytes) + header


def decode_prefix(prefix: bytes) -> tuple[int, int]:
    """(header bytes, body bytes) to read next; raises RemoteProtocolError beyond the limits."""
    header_bytes, body_bytes = PREFIX.unpack(prefix)
    if not 0 < header_bytes <= FRAME_HEADER_MAX_BYTES or body_bytes > FRAME_BODY_MAX_BYTES:
        raise RemoteProtocolError(f"a frame of {header_bytes} + {body_bytes} bytes")
    return header_bytes, body_bytes


def decode(header: bytes, body_bytes: int) -> AnyMessage:
    """The message of a frame; raises RemoteProtocolError unless it is well-formed."""
    try:
        message: AnyMessage = _decoder.decode(header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a frame header that is not a message: {error}") from error
    if body_bytes != (sum(message.sizes) if isinstance(message, Blocks) else 0):
        raise RemoteProtocolError(f"a {type(message).__name__} with a body of {body_bytes} bytes")
    return message
