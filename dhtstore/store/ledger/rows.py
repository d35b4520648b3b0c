"""Rows with signed objects inside, which are stored as they came: re-encoded, one of a later
version would lose what this one does not know, and no longer match its signature."""

from __future__ import annotations

import msgspec

from dhtstore.model.policy import Claim, Policy
from dhtstore.store.ledger.entries import decode, decode_signed, encode


class _ClaimRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    unit: bytes
    unit_roots: tuple[bytes, ...]
    spine: bool
    size_bytes: int
    blocks: int
    policy: bytes  # packed


def encode_claim(claim: Claim) -> bytes:
    packed = claim.policy.packed
    row = _ClaimRow(
        claim.unit, claim.unit_roots, claim.spine, claim.size_bytes, claim.blocks, packed
    )
    return encode(row)


def decode_claim(raw: bytes) -> Claim:
    """Raises IntegrityFailure."""
    row = decode(_ClaimRow, raw)
    policy = decode_signed(Policy, row.policy)
    return Claim(row.unit, row.unit_roots, row.spine, row.size_bytes, row.blocks, policy)
