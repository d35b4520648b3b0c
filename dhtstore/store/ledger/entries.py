"""Structs as values of a KeyValue: msgpack in, checked structs out; signed objects as they came:
re-encoded, one of a later version would lose what this one does not know, and no longer match its
signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple, TypeVar

import msgspec

from dhtstore.errors import IntegrityFailure, RemoteProtocolError
from dhtstore.model.policy import Claim, Grant, Policy
from dhtstore.model.signing import Signed, unpack
from dhtstore.trace import Tracer

T = TypeVar("T")
S = TypeVar("S", bound=Signed)
# Within 3,000 years: with NaN no time is ever over, and 1e300 never ends.
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
Date = Annotated[float, msgspec.Meta(ge=-1e11, le=1e11)]  # a clock without a battery begins in 1970
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


def sound(read: Callable[[bytes], T], key: bytes, raw: bytes, tracer: Tracer) -> T | None:
    """What ``read`` makes of a row; None, with a trace, if it is damaged: other rows must not fall
    with it."""
    try:
        return read(raw)
    except IntegrityFailure as error:
        tracer("ledger.damaged", key=key.hex(), error=str(error))
        return None


def part(value: bytes) -> bytes:
    """A part of a key, with its length before it so that no part runs into the next."""
    return len(value).to_bytes(2, "big") + value


def take_part(key: bytes) -> tuple[bytes, bytes]:
    """The first part of a key and what follows it, as ``part`` put them together."""
    end = 2 + int.from_bytes(key[:2], "big")
    return key[2:end], key[end:]


class _ClaimRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    unit: bytes
    unit_roots: msgspec.Raw  # thousands of them, which few readers need
    spine: bool
    size_bytes: int
    blocks: int
    policy: bytes  # packed
    stored_bytes: int = 0
    origin: str = ""
    grant: bytes = b""  # packed


_Roots = tuple[bytes, ...]


def encode_claim(claim: Claim) -> bytes:
    packed = claim.policy.packed
    row = _ClaimRow(
        claim.unit,
        msgspec.Raw(encode(claim.unit_roots)),
        claim.spine,
        claim.size_bytes,
        claim.blocks,
        packed,
        claim.stored_bytes,
        claim.origin,
        claim.grant.packed if claim.grant else b"",
    )
    return encode(row)


class ClaimHead(NamedTuple):
    """What a claim is for, without the roots of its unit."""

    spine: bool
    policy: Policy


class Charge(NamedTuple):
    """What one origin brought of a unit that one owner claims: ``charged_bytes`` is the largest
    charge of its claims, pending ones included, ``rows_bytes`` what all of them take here."""

    origin: str
    charged_bytes: int
    claims: int
    rows_bytes: int


Charges = tuple[Charge, ...]


class Acquaintance(NamedTuple):
    """When an owner's first claim came here, and from which origin."""

    since_unix_s: float
    origin: str


def group_key(claim: Claim) -> bytes:
    """Of all that one owner claims of one unit, behind whatever stands before it."""
    return part(claim.unit) + part(claim.policy.owner)


def claim_key(claim: Claim) -> bytes:
    return b"claim/" + group_key(claim) + claim.policy.root


def pending_key(claim: Claim) -> bytes:
    return b"pending/" + group_key(claim) + claim.policy.root


def unit_of(key: bytes) -> bytes:
    """The name of the unit of a claim that stands under this key."""
    return take_part(key[len(b"claim/") :])[0]


def decode_head(raw: bytes) -> ClaimHead:
    """Raises IntegrityFailure."""
    row = decode(_ClaimRow, raw)
    return ClaimHead(row.spine, decode_signed(Policy, row.policy))


def decode_claim(raw: bytes) -> Claim:
    """Raises IntegrityFailure."""
    row = decode(_ClaimRow, raw)
    policy = decode_signed(Policy, row.policy)
    return Claim(
        row.unit,
        decode(_Roots, bytes(row.unit_roots)),
        row.spine,
        row.size_bytes,
        row.blocks,
        policy,
        row.stored_bytes,
        row.origin,
        decode_signed(Grant, row.grant) if row.grant else None,
    )
