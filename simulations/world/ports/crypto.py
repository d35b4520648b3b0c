"""Cheap, deterministic cryptography for simulations: the sizes and the failures of the real one,
none of its strength.  Whoever knows a public key can sign as its owner: attackers of a
simulation must be written to sign by their own keys only, as ``events.adversary`` is, whose
forgeries are signatures that are wrong."""

from __future__ import annotations

import hashlib
import zlib

from dhtstore.errors import InvalidSignature
from dhtstore.model.identity import PublicKey
from dhtstore.params import PUBLIC_KEY_BYTES, SIGNATURE_BYTES

_MAC_KEY_BYTES, _CHECKSUM_BYTES = 12, 4  # together as long as a real one
_SHARED_BYTES = 32


class SimSigner:
    """A key pair whose public half is a hash of its secret."""

    def __init__(self, secret: bytes) -> None:
        self._public_key = PublicKey(_digest(PUBLIC_KEY_BYTES, b"public", secret))

    @property
    def public_key(self) -> PublicKey:
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        return _signature(self._public_key, message)


class SimCrypto:
    """``net.ports.Crypto`` for one node; the same secret gives the same keys."""

    def __init__(self, node_secret: bytes, owner_secret: bytes) -> None:
        self._node = SimSigner(b"node" + node_secret)
        self._owner = SimSigner(b"owner" + owner_secret)
        self._number = int.from_bytes(self._node.public_key, "big")

    @property
    def node(self) -> SimSigner:
        return self._node

    @property
    def owner(self) -> SimSigner:
        return self._owner

    def verify(self, public_key: PublicKey, message: bytes, signature: bytes) -> bool:
        return len(public_key) == PUBLIC_KEY_BYTES and signature == _signature(public_key, message)

    def agree(self, public_key: PublicKey) -> bytes:
        """32 bytes; the same on both sides.  Raises InvalidSignature for what is no key."""
        if len(public_key) != PUBLIC_KEY_BYTES or not any(public_key):
            raise InvalidSignature("not a key to agree with")
        return (self._number ^ int.from_bytes(public_key, "big")).to_bytes(_SHARED_BYTES, "big")

    def mac(self, key: bytes, *parts: bytes) -> bytes:
        """Finds every change but one in four billion; a checksum costs a third of a real hash."""
        checksum = zlib.crc32(b"".join((key, *parts)))
        return key[:_MAC_KEY_BYTES] + checksum.to_bytes(_CHECKSUM_BYTES, "big")


def _signature(public_key: bytes, message: bytes) -> bytes:
    return hashlib.blake2b(message, digest_size=SIGNATURE_BYTES, key=public_key).digest()


def _digest(size: int, person: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=size, person=person).digest()
