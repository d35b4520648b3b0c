"""What the two ends of a new connection sign and prove: see docs/protocol.md, Handshake."""

from __future__ import annotations

from typing import Final

import msgspec

from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.wire.frames import Auth, Hello

DIALLER: Final = b"dialler"  # roles in proofs of the network
ACCEPTOR: Final = b"acceptor"
_DOMAIN: Final = b"dhtstore/auth/1\0"


def meeting(acceptor: PublicKey, hello: Hello, auth: Auth) -> bytes:
    """What no other handshake has: acceptor's key 32 ‖ dialler's key 32 ‖ nonce 32."""
    return acceptor + auth.public_key + hello.nonce


def transcript(network: Network, acceptor: PublicKey, hello: Hello, auth: Auth) -> bytes:
    """All that both sides have said by then, bound to the network: what the dialler signs."""
    said = (
        (acceptor, hello.nonce, hello.version, hello.oldest, hello.features),
        (auth.public_key, auth.version, auth.oldest, auth.features),
    )
    return _DOMAIN + network.binding + msgspec.msgpack.encode(said)
