"""Claims: for whom this node keeps a unit, and how many copies of it they want.

The newest policy of each (owner, root) stands once, apart from the claims, so that one newer
policy changes every claim under it.
"""

from __future__ import annotations

import msgspec

from dhtstore.model.policy import Claim, Policy
from dhtstore.store.contract import KeyValue
from dhtstore.store.entries import decode, encode, part


class Claims:
    """Signatures are checked by the caller; nothing unsigned may be put here."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table

    def put(self, claim: Claim) -> bool:
        """Record the claim.  False if a newer policy of its (owner, root) was known, which
        stays in force."""
        policy = claim.policy
        key = b"claim/" + part(claim.unit) + part(policy.owner) + policy.root
        known = self.policy(policy.owner, policy.root)
        newest = known is None or known.sequence <= policy.sequence
        puts = [(key, encode(claim))]
        if newest:
            puts.append((_policy_key(policy.owner, policy.root), encode(policy)))
        self._table.write(puts)
        return newest

    def update(self, policy: Policy) -> bool:
        """Put a newer policy in force; False if it is not newer, or nothing here is under it."""
        known = self.policy(policy.owner, policy.root)
        if known is None or known.sequence >= policy.sequence:
            return False
        self._table.write([(_policy_key(policy.owner, policy.root), encode(policy))])
        return True

    def policy(self, owner: bytes, root: bytes) -> Policy | None:
        """The newest policy known of this owner for this root."""
        raw = self._table.get(_policy_key(owner, root))
        return None if raw is None else decode(Policy, raw)

    def for_unit(self, unit: bytes) -> list[Claim]:
        """All claims on a unit, each with its newest policy, active or not."""
        return self._claims(b"claim/" + part(unit))

    def replicas_wanted(self, unit: bytes, now_unix_s: float) -> int:
        """The largest ``replicas`` among the active claims; 0 when none is active."""
        active = (c.policy for c in self.for_unit(unit) if c.policy.active(now_unix_s))
        return max((policy.replicas for policy in active), default=0)

    def units_kept(self, now_unix_s: float) -> list[Claim]:
        """For each unit with an active claim, the claim that wants the most replicas."""
        best: dict[bytes, Claim] = {}
        for claim in self._claims(b"claim/"):
            other = best.get(claim.unit)
            if claim.policy.active(now_unix_s) and (
                other is None or other.policy.replicas < claim.policy.replicas
            ):
                best[claim.unit] = claim
        return list(best.values())

    def held_bytes(self, owner: bytes, *, but_unit: bytes) -> int:
        """Content bytes of the units kept for one owner, ``but_unit`` not counted."""
        claims = (decode(Claim, value) for _, value in self._table.scan(b"claim/"))
        return sum(
            claim.size_bytes
            for claim in claims
            if claim.policy.owner == owner and claim.unit != but_unit
        )

    def all_units(self) -> list[bytes]:
        """Names of the units that any claim names, active or not, in order."""
        claims = (decode(Claim, value) for _, value in self._table.scan(b"claim/"))
        return list(dict.fromkeys(claim.unit for claim in claims))

    def forget(self, unit: bytes) -> None:
        """Drop the claims on a unit that is no longer held.  Policies stay, so that an older
        one cannot come back."""
        self._table.write([], [key for key, _ in self._table.scan(b"claim/" + part(unit))])

    def _claims(self, prefix: bytes) -> list[Claim]:
        newest: dict[bytes, Policy] = {}
        claims = []
        for _, value in self._table.scan(prefix):
            claim = decode(Claim, value)
            owner, root = claim.policy.owner, claim.policy.root
            key = _policy_key(owner, root)
            if key not in newest:
                newest[key] = self.policy(owner, root) or claim.policy
            claims.append(msgspec.structs.replace(claim, policy=newest[key]))
        return claims


def _policy_key(owner: bytes, root: bytes) -> bytes:
    return b"policy/" + part(owner) + root
