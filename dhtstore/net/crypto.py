"""Ed25519 signatures and X25519 agreement between the same keys, on ``cryptography``; signatures
are checked by libsodium (``PyNaCl``), which needs half of OpenSSL's time for it.

An Ed25519 key pair maps to an X25519 one (RFC 7748 section 4.1, the birational map), so one key
names a node, signs for it and authenticates its datagrams.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from dhtstore.errors import InvalidSignature
from dhtstore.model.identity import PublicKey, solved
from dhtstore.model.signing import Signer
from dhtstore.params import PUBLIC_KEY_BYTES, SESSION_KEYS_MAX, SIGNATURE_BYTES

ED25519_SEED_BYTES: Final = 32  # RFC 8032
_KEYED_MAX: Final = 2 * SESSION_KEYS_MAX  # a key for each direction; 400 bytes each
_FIELD_PRIME: Final = 2**255 - 19
_Y_MASK: Final = 2**255 - 1
# The two y of the points of order 8 (RFC 8032's curve); 0, 1 and -1 have order 4, 1 and 2.
_ORDER_8_Y: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y: Final = frozenset((0, 1, _FIELD_PRIME - 1, _ORDER_8_Y, _FIELD_PRIME - _ORDER_8_Y))


class Ed25519Signer:
    """One Ed25519 private key (RFC 8032), from its 32-byte seed."""

    __slots__ = ("_private", "_public")

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = PublicKey(self._private.public_key().public_bytes_raw())

    @property
    def public_key(self) -> PublicKey:
        return self._public

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


def solved_seed(random_bytes: Callable[[int], bytes]) -> bytes:
    """The seed of a new key that solves the puzzle (``model.identity.solved``); takes some 36 ms,
    a quarter of a second at worst."""
    while True:
        seed = random_bytes(ED25519_SEED_BYTES)
        if solved(Ed25519Signer(seed).public_key):
            return seed


class Ed25519Verifier:
    """Checks signatures; needs no key of its own."""

    def verify(self, public_key: PublicKey, message: bytes, signature: bytes) -> bool:
        if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
            return False
        if not _safe_key(public_key):
            return False
        try:
            crypto_sign_open(signature + message, public_key)
        except BadSignatureError:
            return False
        return True


class Ed25519Crypto(Ed25519Verifier):
    """``net.ports.Crypto`` with real keys."""

    def __init__(self, node_seed: bytes, owner_seed: bytes) -> None:
        self._node = Ed25519Signer(node_seed)
        self._owner = Ed25519Signer(owner_seed)
        scalar = hashlib.sha512(node_seed).digest()[:32]  # X25519 clamps it, as RFC 8032 does
        self._exchange = X25519PrivateKey.from_private_bytes(scalar)
        self._keyed: dict[bytes, hashlib.blake2b] = {}

    @property
    def node(self) -> Signer:
        return self._node

    @property
    def owner(self) -> Signer:
        return self._owner

    def agree(self, public_key: PublicKey) -> bytes:
        """See ``net.ports.Crypto.agree``; raises InvalidSignature."""
        peer = X25519PublicKey.from_public_bytes(montgomery(public_key))
        try:
            return self._exchange.exchange(peer)
        except ValueError as error:
            raise InvalidSignature("a public key that agrees on nothing") from error

    def mac(self, key: bytes, *parts: bytes) -> bytes:
        digest = (self._keyed.get(key) or self._begun(key)).copy()
        for part in parts:
            digest.update(part)
        return digest.digest()

    def _begun(self, key: bytes) -> hashlib.blake2b:
        """A hash that has taken its key: half of the work on a short datagram."""
        if len(self._keyed) >= _KEYED_MAX:
            self._keyed.clear()
        begun = self._keyed[key] = hashlib.blake2b(key=key, digest_size=16)
        return begun


def _safe_key(public_key: bytes) -> bool:
    """Whether the key is written canonically and not one of the points of small order."""
    y = int.from_bytes(public_key, "little") & _Y_MASK
    return y < _FIELD_PRIME and y not in _SMALL_ORDER_Y


def montgomery(public_key: bytes) -> bytes:
    """The X25519 form of an Ed25519 public key: u = (1 + y) / (1 - y).

    Raises InvalidSignature for a key that is too short, non-canonical or of small order.
    """
    if len(public_key) != PUBLIC_KEY_BYTES or not _safe_key(public_key):
        raise InvalidSignature("a public key that is not canonical or of small order")
    y = int.from_bytes(public_key, "little") & _Y_MASK
    u = (1 + y) * pow(1 - y, -1, _FIELD_PRIME) % _FIELD_PRIME
    return u.to_bytes(32, "little")
