"""The statement "this node holds the unit behind this DHT key"."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from dhtstore.model.identity import PublicKey
from dhtstore.model.signing import Signed


class ProviderRecord(Signed, msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Signed by the provider; holds neither CID nor address.

    ``issued`` and ``expires`` are unix seconds of the provider's clock: compared only within
    its own sequence.  A receiver keeps it at most ``expires - issued`` from arrival.  One that
    ends when it was issued says "no longer": it takes back what has a lower sequence.
    """

    signing_domain: ClassVar[bytes] = b"dhtstore/provider/1\0"

    key: bytes  # DHT key, 20 bytes
    public_key: bytes
    sequence: int
    issued: int
    expires: int

    @property
    def signer(self) -> PublicKey:
        return PublicKey(self.public_key)
