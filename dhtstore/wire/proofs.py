"""What the two ends of a new connection sign and prove: see docs/protocol.md, Handshake."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.wire.frames import Auth, Hello

DIALLER: Final = b"dialler"  # roles in proofs of the network
ACCEPTOR: Final = b"acceptor"
_MEETING_DOMAIN: Final = b"dhtstore/meeting/2\0"
_DOMAIN: Final = b"dhtstore/auth/2\0"


def meeting(acceptor: PublicKey, channel: bytes, hello: Hello, auth: Auth) -> bytes:
    """32 bytes that no other handshake has, fresh for both ends: SHA-256 of both keys, both
    nonces and ``channel`` (``Stream.binding``)."""
    parts = (acceptor, auth.public_key, hello.nonce, auth.nonce, channel)
    return hashlib.sha256(_MEETING_DOMAIN + msgspec.msgpack.encode(parts)).digest()


def transcript(
    network: Network, acceptor: PublicKey, channel: bytes, hello: Hello, auth: Auth
) -> bytes:
    """All that both sides have said by then, bound to the network and to the channel: what the
    dialler signs."""
    said = (
        (acceptor, channel, hello.nonce, hello.version, hello.oldest, hello.features),
        (auth.public_key, auth.nonce, auth.version, auth.oldest, auth.features),
    )
    return _DOMAIN + network.binding + msgspec.msgpack.encode(said)
