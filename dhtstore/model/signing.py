"""Signed objects: what is signed, how a signature is checked, and how both travel.

A signed object travels and is kept as one byte string: signature 64 ‖ body.  The body is a msgpack
array of the object's fields; fields that only later versions know may follow.  What is signed is a
domain string (so that no object passes for another), what binds it to its network, and the body.
The bytes are kept as they came, so that an object of a later version can be checked, stored and
handed on by one that does not know all of it.  Lasting state is always signed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar, Protocol, TypeVar, cast

import msgspec
from msgspec.structs import astuple, force_setattr, replace

from dhtstore.errors import InvalidSignature, RemoteProtocolError
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.params import SIGNATURE_BYTES


class Signer(Protocol):
    """Holds one private key."""

    @property
    def public_key(self) -> PublicKey: ...

    def sign(self, message: bytes) -> bytes:
        """A 64-byte Ed25519 signature (RFC 8032)."""


class Verifier(Protocol):
    """Checks signatures."""

    def verify(self, public_key: PublicKey, message: bytes, signature: bytes) -> bool: ...


class Signed:
    """Beside the fields of a frozen, array-like Struct: the bytes that were signed.

    ``packed`` is there once the object is signed or unpacked; a changed copy
    (``msgspec.structs.replace``) is unsigned again.  Signed objects are equal when their bytes
    are.  Encoding the Struct itself gives only the body: what travels or is stored is ``packed``.
    """

    __slots__ = ("packed",)
    packed: bytes
    signing_domain: ClassVar[bytes]

    @property
    def signer(self) -> PublicKey:
        """The key that must have signed."""
        raise AssertionError("each signed object names its signer")

    @property
    def signature(self) -> bytes:
        return self.packed[:SIGNATURE_BYTES]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(_identity(self) == _identity(other))

    def __hash__(self) -> int:
        return hash(_identity(self))


S = TypeVar("S", bound=Signed)


def sign(unsigned: S, network: Network, signer: Signer) -> S:
    """A copy of ``unsigned`` with its signature."""
    return attach(unsigned, signer.sign(_signed_bytes(unsigned, network, _body(unsigned))))


def attach(unsigned: S, signature: bytes) -> S:
    """A copy of ``unsigned`` with a signature that was made elsewhere."""
    copy: Any = replace(cast(Any, unsigned))
    force_setattr(copy, "packed", signature + _body(unsigned))
    return cast(S, copy)


def check(signed: Signed, network: Network, verifier: Verifier) -> None:
    """Raise InvalidSignature unless the object's own signer signed it for this network."""
    body = signed.packed[SIGNATURE_BYTES:]
    message = _signed_bytes(signed, network, body)
    if not verifier.verify(signed.signer, message, signed.signature):
        raise InvalidSignature(f"a {type(signed).__name__} with a signature that does not match")


def unpack(kind: type[S], packed: bytes) -> S:
    """The object in ``packed``, its signature not checked yet; raises RemoteProtocolError."""
    try:
        signed: S = _decoder(kind)(packed[SIGNATURE_BYTES:])  # type: ignore[arg-type]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a {kind.__name__} that does not decode: {error}") from error
    force_setattr(signed, "packed", packed)  # type: ignore[arg-type]
    return signed


@lru_cache
def _decoder(kind: Any) -> Callable[[bytes], Any]:
    return msgspec.msgpack.Decoder(kind).decode


def _body(unsigned: Signed) -> bytes:
    return msgspec.msgpack.encode(unsigned)


def _signed_bytes(signed: Signed, network: Network, body: bytes) -> bytes:
    return signed.signing_domain + network.binding + body


def _identity(signed: Signed) -> Any:
    """What tells one object from others of its kind."""
    packed = getattr(signed, "packed", None)
    return astuple(cast(Any, signed)) if packed is None else packed
