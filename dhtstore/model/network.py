"""The network a node is in, as one value: everything that binds to a network binds through it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from dhtstore.params import DEFAULT_NETWORK, ENVELOPE_VERSION, NETWORK_PROOF_BYTES

_TAG_BYTES = 8  # of a datagram that comes from elsewhere: one comparison tells


@dataclass(frozen=True)
class Network:
    """``name`` is what people call it, 1 to NETWORK_NAME_MAX_BYTES bytes of UTF-8; ``key`` the
    secret of a private network, empty for an open one.

    Signatures, MACs and proofs in handshakes cover ``binding``, or ``digest`` where they need a
    fixed length: made for one network, they are worth nothing in another.
    """

    name: str = DEFAULT_NETWORK
    key: bytes = b""

    @cached_property
    def binding(self) -> bytes:
        """What is signed: the name with its length in front, then the key."""
        name = self.name.encode()
        return len(name).to_bytes(1, "big") + name + self.key

    @cached_property
    def digest(self) -> bytes:
        """32 bytes: SHA-256 of the binding."""
        return hashlib.sha256(b"dhtstore/network/1\0" + self.binding).digest()

    @cached_property
    def datagram_prefix(self) -> bytes:
        """How each datagram of this network begins: version of the envelope 1 ‖ tag 8."""
        return bytes((ENVELOPE_VERSION,)) + self.digest[:_TAG_BYTES]

    def proof(self, role: bytes, meeting: bytes) -> bytes:
        """32 bytes that only who knows this network can make, and that do not tell its name.

        Keyed BLAKE2b over ``meeting``, what no other handshake has; ``role`` (at most 16 bytes)
        so that nobody hands back a proof it was shown.
        """
        keyed = hashlib.blake2b(
            meeting, key=self.digest, person=role, digest_size=NETWORK_PROOF_BYTES
        )
        return keyed.digest()

    def __str__(self) -> str:
        return self.name
