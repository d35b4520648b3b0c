"""Policies: what an owner wants for a root; grants: that others may place a unit of it; claims: a
policy upon one unit; and what claims use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec

from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.network import Network
from dhtstore.model.signing import Signed
from dhtstore.params import CLAIM_ROW_BYTES, NODE_ID_BYTES, SIGNATURE_BYTES

_PLACE_DOMAIN: Final = b"dhtstore/policy-key/1\0"
_WORD_DOMAIN: Final = b"dhtstore/word/1\0"


class Policy(Signed, msgspec.Struct, frozen=True, array_like=True):
    """Owner-signed: keep ``replicas`` copies of everything below ``root``.

    Of those of one (owner, root) that of the greatest ``precedence`` stands.  ``expires`` is unix
    seconds, 0 for "until removed"; ``removed`` ends the claim.
    """

    signing_domain: ClassVar[bytes] = b"dhtstore/policy/1\0"

    owner: bytes  # the owner's public key
    root: bytes  # binary CID
    sequence: int
    replicas: int
    expires: int
    removed: bool

    @property
    def signer(self) -> PublicKey:
        return PublicKey(self.owner)

    @property
    def key(self) -> DhtKey:
        """Of the nodes that keep it."""
        return policy_place(self.owner, self.root)

    @property
    def precedence(self) -> tuple[int, bool, bytes]:
        """The newest sequence wins, of two alike a removal, of those the larger hash of what was
        signed: all nodes choose the same, whichever they heard of first."""
        body = self.packed[SIGNATURE_BYTES:]
        return self.sequence, self.removed, hashlib.sha256(body).digest()

    def active(self, now_unix_s: float) -> bool:
        return not self.removed and (self.expires == 0 or self.expires > now_unix_s)


class Grant(Signed, msgspec.Struct, frozen=True, array_like=True):
    """Owner-signed: whoever has this may offer the unit behind ``key``, which is ``blocks`` blocks
    and takes ``stored`` bytes of disk, to others for ``root``.

    It is no secret, and of no use beyond what the owner's newest policy of that root asks for:
    who is offered a unit by it looks whether that wants one copy more (node/checking/others).
    """

    signing_domain: ClassVar[bytes] = b"dhtstore/grant/1\0"

    owner: bytes  # the owner's public key
    root: bytes  # binary CID
    key: bytes  # the unit's DHT key
    stored: int
    blocks: int

    @property
    def signer(self) -> PublicKey:
        return PublicKey(self.owner)


@dataclass(frozen=True, slots=True)
class Claim:
    """An owner's claim on a unit that this node holds: why it is kept."""

    unit: bytes  # Unit.name
    unit_roots: tuple[bytes, ...]  # binary CIDs, to walk the unit again
    spine: bool  # Unit.spine
    size_bytes: int  # content bytes of the unit, as walked
    blocks: int
    policy: Policy
    stored_bytes: int = 0  # on disk, with interior blocks and index rows; 0 in an older ledger
    origin: str = ""  # model.contact.subnet of who brought it; "" for this node's own user
    grant: Grant | None = None  # by which it may be brought to others; an older ledger has none

    @property
    def charged_bytes(self) -> int:
        """What counts against quotas, beside ``ledger_bytes``."""
        return max(self.stored_bytes, self.size_bytes)

    @property
    def ledger_bytes(self) -> int:
        return claim_bytes(self.unit_roots, self.policy, self.grant)


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes are those that claims are charged with: blocks as they are stored, a unit once for
    each owner and once for each origin that brought it, and rows of the ledger.

    ``owner_bytes`` is that of the owner in question, ``origin_bytes`` of the origin,
    ``newcomers_bytes`` of all owners that are new here.  ``owners`` have a claim here,
    ``newcomers`` of them are new, ``origin_newcomers`` of those were first brought by this origin.
    ``known`` is whether this owner has a claim here, ``new`` whether it counts as a newcomer,
    ``roots`` for how many other roots it claims the unit in question.  ``units`` are those of all
    owners but the node's own, one that several claim as often, ``origin_units`` what this origin
    brought of them, ``newcomers_units`` what new owners claim.  ``used_bytes`` is all that lies on
    the disk, for the caller to fill in.
    """

    owner_bytes: int = 0
    origin_bytes: int = 0
    newcomers_bytes: int = 0
    owners: int = 0
    newcomers: int = 0
    origin_newcomers: int = 0
    known: bool = False
    new: bool = True
    roots: int = 0
    units: int = 0
    origin_units: int = 0
    newcomers_units: int = 0
    used_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Holdings:
    """What all claims here are charged with, as ``Usage`` counts: for this node's own owner, for
    others, for those of them that are new, for the one that has most, and by each origin."""

    own_bytes: int = 0
    others_bytes: int = 0
    newcomers_bytes: int = 0
    largest_owner_bytes: int = 0
    origins_bytes: Mapping[str, int] = field(default_factory=dict)


def claim_bytes(unit_roots: Iterable[bytes], policy: Policy, grant: Grant | None = None) -> int:
    """What a claim on a unit with these roots takes in a ledger, at most: the policy stands beside
    the claim, and in force for all claims of its root."""
    signed_bytes = 2 * len(policy.packed) + (len(grant.packed) if grant else 0)
    return CLAIM_ROW_BYTES + sum(map(len, unit_roots)) + signed_bytes


def policy_place(owner: bytes, root: bytes) -> DhtKey:
    """The DHT key of what ``owner`` wants for ``root``."""
    digest = hashlib.sha256(_PLACE_DOMAIN + owner + root).digest()
    return DhtKey(digest[:NODE_ID_BYTES])


def word_for(
    network: Network, holder: PublicKey, meeting: bytes, *, key: bytes, stored: int, blocks: int
) -> bytes:
    """What an owner signs, its *word*: that ``holder`` may hold the unit behind the DHT key
    ``key``, which is ``blocks`` blocks and takes ``stored`` bytes of disk.

    A policy is public: it lies with every holder, and whoever reads one could offer it elsewhere.
    So a copy that its owner brings needs the owner's signature over what nobody can have kept from
    earlier: the holder's key and ``meeting``, which both ends of the link made fresh when it began.
    It needs no clock, lasts no longer than the link, and serves nobody but this holder.
    """
    said = (holder, meeting, key, stored, blocks)
    return _WORD_DOMAIN + network.binding + msgspec.msgpack.encode(said)
