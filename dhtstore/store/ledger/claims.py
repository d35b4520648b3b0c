"""Claims: for whom this node keeps a unit, and how many copies of it they want.

The newest policy of each (owner, root) stands once, apart from the claims, so that one newer
policy changes every claim under it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Final

from dhtstore.model.policy import Claim, Policy
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import (
    decode_claim,
    decode_signed,
    encode_claim,
    part,
    sound,
)
from dhtstore.store.ledger.kept_count import KeptCount, ends_unix_s
from dhtstore.trace import Tracer, no_trace

_POLICIES_HELD_MAX: Final = 4096  # while claims are gone through: few owners have many units


class Claims:
    """Signatures are checked by the caller; nothing unsigned may be put here.

    A row that is damaged is passed over, with a trace: the others must not fall with it.
    """

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer
        self._held: Counter[bytes] | None = None  # bytes per owner, once somebody asked
        self._ledger_bytes = 0
        self._kept_count: KeptCount | None = None  # once somebody asked
        self._changes = 0
        self._lock = threading.RLock()

    def put(self, claim: Claim) -> bool:
        """Record the claim.  False if a newer policy of its (owner, root) was known, which
        stays in force."""
        owner = claim.policy.owner
        with self._lock:
            rows, claims = self._owner_rows(claim.unit, owner), self._counted(claim.unit)
            newest = self._write(claim)
            self._count(owner, rows, self._owner_rows(claim.unit, owner))
            if self._kept_count is not None:
                self._kept_count.replace(claims, self._counted(claim.unit))
        return newest

    def _counted(self, unit: bytes) -> list[Claim]:
        """The claims on a unit, where somebody counts them."""
        return [] if self._kept_count is None else self.for_unit(unit)

    def _write(self, claim: Claim) -> bool:
        policy = claim.policy
        key = b"claim/" + part(claim.unit) + part(policy.owner) + policy.root
        known = self.policy(policy.owner, policy.root)
        newest = known is None or known.sequence <= policy.sequence
        puts = [(key, encode_claim(claim))]
        if newest:
            puts.append((_policy_key(policy.owner, policy.root), policy.packed))
        self._table.write(puts)
        self._changes += 1
        if known is not None and newest and ends_unix_s(known) != ends_unix_s(policy):
            self._kept_count = None  # other units than this one may be kept or not from now on
        return newest

    def update(self, policy: Policy) -> bool:
        """Put a newer policy in force; False if it is not newer, or nothing here is under it."""
        with self._lock:
            known = self.policy(policy.owner, policy.root)
            if known is None or known.sequence >= policy.sequence:
                return False
            self._table.write([(_policy_key(policy.owner, policy.root), policy.packed)])
            self._changes += 1
            self._kept_count = None
            return True

    def policy(self, owner: bytes, root: bytes) -> Policy | None:
        """The newest policy known of this owner for this root."""
        key = _policy_key(owner, root)
        raw = self._table.get(key)
        return None if raw is None else sound(_decode_policy, key, raw, self._tracer)

    def for_unit(self, unit: bytes) -> list[Claim]:
        """All claims on a unit, each with its newest policy, active or not."""
        return list(self._claims(b"claim/" + part(unit)))

    def keeps(self, unit: bytes, now_unix_s: float) -> bool:
        """Whether any claim on the unit is active."""
        return any(claim.policy.active(now_unix_s) for claim in self.for_unit(unit))

    def units_kept(self, now_unix_s: float) -> Iterator[Claim]:
        """For each unit with an active claim, by length and bytes of its name, the claim that
        wants the most replicas.  Read a page of the ledger at a time."""
        for _, claims in groupby(self._claims(b"claim/"), _unit):
            active = [claim for claim in claims if claim.policy.active(now_unix_s)]
            if active:
                yield max(active, key=lambda claim: claim.policy.replicas)

    def count_kept(self, now_unix_s: float) -> int:
        """How many units have an active claim.  Counted from all claims once, then kept up until
        a claim expires or a policy changes."""
        with self._lock:
            count, changes = self._kept_count, self._changes
        if count is None or not count.holds(now_unix_s):
            count = KeptCount(now_unix_s)
            for _, claims in groupby(self._claims(b"claim/"), _unit):
                count.replace((), list(claims))
            with self._lock:
                if changes == self._changes:
                    self._kept_count = count
        return count.units

    def held_bytes(self, owner: bytes, *, but: tuple[bytes, bytes] | None = None) -> int:
        """What is kept for one owner: the content of each unit once, and each of its claims'
        own row.  ``but`` (unit, root) leaves that claim and the content of its unit out."""
        with self._lock:
            held_bytes = self._held_by_owner()[owner]
            if but is None:
                return held_bytes
            rows = self._owner_rows(but[0], owner)
        again = [row for row in rows if row.policy.root == but[1]]
        return held_bytes - _content_bytes(rows) - _rows_bytes(again)

    def ledger_bytes(self) -> int:
        """What the rows of all claims take beside the blocks."""
        with self._lock:
            self._held_by_owner()
            return self._ledger_bytes

    def _held_by_owner(self) -> Counter[bytes]:
        """Counted from all claims once, and kept up from then on."""
        if self._held is None:
            held: Counter[bytes] = Counter()
            self._ledger_bytes = 0
            for (_, owner), group in groupby(self._rows(b"claim/"), _unit_and_owner):
                rows = list(group)
                held[owner] += _bytes_of(rows)
                self._ledger_bytes += _rows_bytes(rows)
            self._held = held
        return self._held

    def forget(self, unit: bytes) -> None:
        """Drop the claims on a unit that is no longer held.  Policies stay, so that an older
        one cannot come back."""
        prefix = b"claim/" + part(unit)
        with self._lock:
            claims = self._counted(unit)
            rows = list(self._rows(prefix))
            self._table.write([], [key for key, _ in scan_all(self._table, prefix)])
            for (_, owner), group in groupby(rows, _unit_and_owner):
                self._count(owner, list(group), [])
            if self._kept_count is not None:
                self._kept_count.replace(claims, [])
            self._changes += 1

    def _count(self, owner: bytes, before: list[Claim], after: list[Claim]) -> None:
        """One owner's claims on one unit changed from one to the other."""
        if self._held is not None:
            self._held[owner] += _bytes_of(after) - _bytes_of(before)
            self._ledger_bytes += _rows_bytes(after) - _rows_bytes(before)

    def _owner_rows(self, unit: bytes, owner: bytes) -> list[Claim]:
        return list(self._rows(b"claim/" + part(unit) + part(owner)))

    def _rows(self, prefix: bytes) -> Iterator[Claim]:
        """Claims in key order: those of one unit and owner are neighbours."""
        for key, value in scan_all(self._table, prefix):
            if (claim := sound(decode_claim, key, value, self._tracer)) is not None:
                yield claim

    def _claims(self, prefix: bytes) -> Iterator[Claim]:
        """Claims in key order, each with its newest policy; those of one unit are neighbours."""
        newest: dict[bytes, Policy] = {}
        for claim in self._rows(prefix):
            owner, root = claim.policy.owner, claim.policy.root
            key = _policy_key(owner, root)
            if key not in newest:
                if len(newest) >= _POLICIES_HELD_MAX:
                    newest.clear()
                newest[key] = self.policy(owner, root) or claim.policy
            yield replace(claim, policy=newest[key])


def _decode_policy(raw: bytes) -> Policy:
    return decode_signed(Policy, raw)


def _policy_key(owner: bytes, root: bytes) -> bytes:
    return b"policy/" + part(owner) + root


def _unit(claim: Claim) -> bytes:
    return claim.unit


def _unit_and_owner(claim: Claim) -> tuple[bytes, bytes]:
    return claim.unit, claim.policy.owner


def _content_bytes(rows: Iterable[Claim]) -> int:
    """Of one unit, however many claim it; a spine and a subtree may bear one name."""
    return max((row.size_bytes for row in rows), default=0)


def _rows_bytes(rows: Iterable[Claim]) -> int:
    return sum(row.ledger_bytes for row in rows)


def _bytes_of(rows: list[Claim]) -> int:
    return _content_bytes(rows) + _rows_bytes(rows)
