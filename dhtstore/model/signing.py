"""Signed objects: what is signed, and how a signature is checked.

The signed bytes are a domain string (so that no object passes for another), what binds it to
its network, and the object's fields in msgpack without the signature.  Lasting state is always
signed.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar

import msgspec

from dhtstore.errors import InvalidSignature
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network


class Signer(Protocol):
    """Holds one private key."""

    @property
    def public_key(self) -> PublicKey: ...

    def sign(self, message: bytes) -> bytes:
        """A 64-byte Ed25519 signature (RFC 8032)."""


class Verifier(Protocol):
    """Checks signatures."""

    def verify(self, public_key: PublicKey, message: bytes, signature: bytes) -> bool: ...


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """Base of signed objects.  Subclasses end in ``signature: bytes = b""``."""

    signing_domain: ClassVar[bytes]

    @property
    def signer(self) -> PublicKey:
        """The key that must have signed."""
        raise AssertionError("each signed object names its signer")

    @property
    def signed_with(self) -> bytes:
        """The signature: always the last field."""
        last: bytes = msgspec.structs.astuple(self)[-1]
        return last

    def signed_bytes(self, network: Network) -> bytes:
        body = msgspec.msgpack.encode(msgspec.structs.astuple(self)[:-1])
        return self.signing_domain + network.binding + body


S = TypeVar("S", bound=Signed)


def sign(unsigned: S, network: Network, signer: Signer) -> S:
    """A copy of ``unsigned`` with its signature."""
    signature = signer.sign(unsigned.signed_bytes(network))
    return msgspec.structs.replace(unsigned, signature=signature)


def check(signed: Signed, network: Network, verifier: Verifier) -> None:
    """Raise InvalidSignature unless the object's own signer signed it for this network."""
    if not verifier.verify(signed.signer, signed.signed_bytes(network), signed.signed_with):
        raise InvalidSignature(f"a {type(signed).__name__} with a signature that does not match")
