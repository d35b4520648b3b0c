"""Structs as values of a KeyValue: msgpack in, checked structs out; signed objects as they came."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from dhtstore.errors import IntegrityFailure, RemoteProtocolError
from dhtstore.model.signing import Signed, unpack

T = TypeVar("T")
S = TypeVar("S", bound=Signed)
_encoder = msgspec.msgpack.Encoder()


def encode(value: object) -> bytes:
    return _encoder.encode(value)


def decode(kind: type[T], raw: bytes) -> T:
    """Raises IntegrityFailure: the ledger was written by something else, or its disk rots."""
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityFailure(f"the ledger holds a damaged {kind.__name__}: {error}") from error


def decode_signed(kind: type[S], raw: bytes) -> S:
    """Raises IntegrityFailure, as ``decode``.  What was stored is ``packed``."""
    try:
        return unpack(kind, raw)
    except RemoteProtocolError as error:
        raise IntegrityFailure(f"the ledger holds a damaged {kind.__name__}: {error}") from error


def part(value: bytes) -> bytes:
    """A part of a key, with its length before it so that no part runs into the next."""
    return len(value).to_bytes(2, "big") + value
