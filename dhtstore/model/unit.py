"""The unit: what is placed, receipted, audited and repaired as one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from dhtstore.model.cid import Cid
from dhtstore.model.identity import DhtKey, dht_key


@dataclass(frozen=True, slots=True)
class Unit:
    """A set of blocks: the subtrees below ``roots``, or with ``spine`` the spine below them.

    ``size_bytes`` is the content size that links claim (0 for a spine).  ``name`` identifies it:
    a unit with one root by that root's binary CID, a run by a hash of its CIDs.  Runs of spine
    roots hash under a domain of their own: the same siblings could elsewhere be subtrees.
    """

    roots: tuple[Cid, ...]
    size_bytes: int
    spine: bool = False
    name: bytes = b""

    @classmethod
    def of(cls, roots: tuple[Cid, ...], size_bytes: int, *, spine: bool = False) -> Unit:
        if len(roots) == 1:
            return cls(roots, size_bytes, spine, roots[0].raw)
        digest = hashlib.sha256(b"dhtstore/spine/1\0" if spine else b"dhtstore/run/1\0")
        for root in roots:
            digest.update(len(root.raw).to_bytes(2, "big") + root.raw)
        return cls(roots, size_bytes, spine, digest.digest())

    @property
    def key(self) -> DhtKey:
        """The DHT key its provider records are stored under."""
        return dht_key(self.name)
