"""The unit: what is placed, receipted, audited and repaired as one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from dhtstore.errors import InvalidCid
from dhtstore.model.cid import Cid
from dhtstore.model.identity import DhtKey, dht_key


@dataclass(frozen=True, slots=True)
class Unit:
    """A set of blocks: the subtrees below ``roots``, or with ``spine`` the spine below them.

    ``size_bytes`` is the content size that links claim (0 for a spine).  ``name`` identifies it:
    what is below one root by that root's binary CID, and so the head of a spine, which bears the
    name of the whole DAG; a run by a hash of its CIDs.  Runs of spine roots, also of one, hash
    under a domain of their own: the same siblings could elsewhere be subtrees.
    """

    roots: tuple[Cid, ...]
    size_bytes: int
    spine: bool = False
    name: bytes = b""

    @classmethod
    def of(cls, roots: tuple[Cid, ...], size_bytes: int, *, spine: bool = False) -> Unit:
        if len(roots) == 1 and not spine:
            return cls(roots, size_bytes, spine, roots[0].raw)
        digest = hashlib.sha256(b"dhtstore/spine/1\0" if spine else b"dhtstore/run/1\0")
        for root in roots:
            digest.update(len(root.raw).to_bytes(2, "big") + root.raw)
        return cls(roots, size_bytes, spine, digest.digest())

    @classmethod
    def head(cls, root: Cid) -> Unit:
        """The blocks at the top of the DAG below ``root``, which is too large for one unit."""
        return cls((root,), 0, True, root.raw)

    @classmethod
    def named(cls, name: bytes, roots: tuple[Cid, ...], size_bytes: int, *, spine: bool) -> Unit:
        """The unit that was written down with ``name``; it has another one if that is wrong."""
        head = spine and len(roots) == 1 and name == roots[0].raw
        return cls.head(roots[0]) if head else cls.of(roots, size_bytes, spine=spine)

    @property
    def key(self) -> DhtKey:
        """The DHT key its provider records are stored under."""
        return dht_key(self.name)


def unit_name(text: str) -> bytes:
    """The name that ``unit_text`` wrote.  Raises ValueError, InvalidCid."""
    return bytes.fromhex(text) if len(text) == 64 else Cid.parse(text).raw


def unit_text(name: bytes) -> str:
    """How a unit's name is written everywhere: a CID where it has one root, else hex."""
    try:
        return str(Cid.decode(name))
    except (InvalidCid, IndexError):
        return name.hex()
