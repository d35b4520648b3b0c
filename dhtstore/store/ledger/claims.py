"""Claims: for whom this node keeps a unit, and how many copies of it they want.

The newest policy of each (owner, root) stands once, apart from the claims, so that one newer
policy changes every claim under it.  A claim whose blocks are not all here yet is pending: it is
charged, and nothing else.  What each owner is charged with for each unit stands beside the claims
and is written with them, so that no cost grows with the claims that there are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Final, TypeVar

from dhtstore.model.identity import DhtKey
from dhtstore.model.policy import Claim, Holdings, Policy, Usage
from dhtstore.store.ledger.charging.charged import Charged
from dhtstore.store.ledger.charging.ending import CLAIMS, EndingClaims, policy_key, rows_in_force
from dhtstore.store.ledger.charging.owed import Owed
from dhtstore.store.ledger.charging.turns import ChargeRow, of_others_in_turns
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import (
    ClaimHead,
    claim_key,
    decode_claim,
    decode_head,
    encode_claim,
    part,
    pending_key,
    sound,
    unit_of,
)
from dhtstore.store.ledger.kept_count import KeptCount, ends_unix_s
from dhtstore.trace import Tracer, no_trace

T = TypeVar("T")
_POLICIES_HELD_MAX: Final = 4096  # while claims are gone through: few owners have many units
_LOOKED_AT_ROWS: Final = 8  # at once: a row takes up to 400 KiB, and mostly the first is active
STANDING: Final = 0.0  # asked with this time, claims count that stand, whether they expired or not
Rows = Iterable[tuple[bytes, bytes]]
But = Callable[[Policy], bool] | None


class Claims(EndingClaims):
    """Signatures are checked by the caller; nothing unsigned may be put here.  ``own`` is the
    owner that this node belongs to: its units are not counted among those of others.

    A row that is damaged is passed over, with a trace: the others must not fall with it.
    """

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace, own: bytes = b"") -> None:
        self._table, self._tracer, self._own = Owed(table), tracer, own
        self._charged = Charged(self._table, tracer, own)
        self._kept_count: KeptCount | None = None  # once somebody asked
        self._changes = 0
        self._lock = threading.RLock()

    # --- changes ----------------------------------------------------------------------------

    def begin(self, claim: Claim, now_unix_s: float | None) -> None:
        """Write a claim down whose blocks are about to be committed: it is pending until ``put``
        or ``drop_pending``, also across a crash.  An owner without any claim here is a newcomer
        from ``now_unix_s`` on; never with None, which is for the node's own owner."""
        key = pending_key(claim)
        with self._lock:
            self._charged.replace(claim, [key], [(key, encode_claim(claim))], now_unix_s)

    def drop_pending(self, claim: Claim) -> None:
        """Its blocks did not come to stay: nobody is charged for them from now on, though a full
        disk may take a while to write that down.  A claim that was put before stays."""
        with self._lock:
            self._charged.remove(claim, pending_key(claim))

    def settle(self) -> None:
        """Write down what was dropped while the disk took nothing, if it does by now."""
        with self._lock:
            self._table.pay()

    def pending(self) -> list[Claim]:
        """What was begun and neither put nor dropped."""
        return list(self._sound(decode_claim, scan_all(self._table, b"pending/")))

    def put(self, claim: Claim) -> bool:
        """Record the claim, pending or not.  False if a newer policy of its (owner, root) was
        known, which stays in force."""
        with self._lock:
            count = self._kept_count
            kept = count is not None and self._any_active(claim.unit, count.since_unix_s)
            newest, effective = self._write(claim)
            if self._kept_count is not None:
                self._kept_count.add([effective], kept=kept)
        return newest

    def _write(self, claim: Claim) -> tuple[bool, Policy]:
        policy, key = claim.policy, claim_key(claim)
        known = self.policy(policy.owner, policy.root)
        newest = known is None or known.precedence <= policy.precedence
        puts = [(key, encode_claim(claim))]
        if newest:
            puts += rows_in_force(policy, known)
        self._charged.replace(claim, [key, pending_key(claim)], puts, None)
        self._changes += 1
        if known is not None and newest and ends_unix_s(known) != ends_unix_s(policy):
            self._kept_count = None  # other units than this one may be kept or not from now on
        return newest, policy if newest or known is None else known

    def _any_active(self, unit: bytes, now_unix_s: float) -> bool:
        newest = _Newest(self)
        heads = self._heads(self._on(unit))
        return any(newest.of(each.policy).active(now_unix_s) for each in heads)

    def update(self, policy: Policy, *, anyway: bool = False) -> bool:
        """Put a newer policy in force; False if it is not newer, or nothing here is under it and it
        is not to be kept ``anyway``."""
        with self._lock:
            known = self.policy(policy.owner, policy.root)
            if known is None and not anyway:
                return False
            if known is not None and known.precedence >= policy.precedence:
                return False
            self._table.write(rows_in_force(policy, known))
            self._changes += 1
            self._kept_count = None
            return True

    def for_unit(self, unit: bytes) -> Iterator[Claim]:
        """All claims on a unit, each with its newest policy, active or not, one at a time."""
        newest = _Newest(self)
        for claim in self._sound(decode_claim, self._on(unit)):
            yield replace(claim, policy=newest.of(claim.policy))

    def units_kept(self, now_unix_s: float, but: But = None) -> Iterator[Claim]:
        """For each unit with an active claim, by length and bytes of its name, the claim that
        wants the most replicas: subtrees and a spine of one name are two units.  A few rows of
        the ledger at a time, whatever claims there are; ``but`` tells policies that do not count.
        """
        for _, rows in groupby(self._on(None), _unit_of_row):
            yield from self._best(rows, now_unix_s, but)

    def kept(self, unit: bytes, now_unix_s: float, but: But = None) -> list[Claim]:
        """Those of ``units_kept`` under one name: two at most."""
        return self._best(self._on(unit), now_unix_s, but)

    def own_units(self) -> Iterator[bytes]:
        """The names of units that this node's own owner claims, kept or not, a page at a time."""
        return (row.unit for row in self._charge_rows() if row.owner == self._own)

    def owns(self, unit: bytes) -> bool:
        """Whether it is one of ``own_units``."""
        return self._charged.claimed_by(self._own, unit)

    def foreign_units(self) -> Iterator[bytes]:
        """The names of all others that are claimed, kept or not, one of each origin at a time:
        FOREIGN_UNITS_MAX at most are held in memory."""
        return of_others_in_turns(self._charge_rows(), self._own)

    def _charge_rows(self) -> Iterator[ChargeRow]:
        with self._lock:
            self._charged.lay_out()
        return self._charged.rows()

    def _best(self, rows: Rows, now_unix_s: float, but: But) -> list[Claim]:
        """Of one unit's rows; roots are read only of a claim that is better than those before."""
        newest, best = _Newest(self), dict[bool, Claim]()
        for row in rows:
            for head in self._heads([row]):
                policy, so_far = newest.of(head.policy), best.get(head.spine)
                least = 0 if so_far is None else so_far.policy.replicas
                if not policy.active(now_unix_s) or (but is not None and but(policy)):
                    continue
                if policy.replicas > least:
                    for claim in self._sound(decode_claim, [row]):
                        best[head.spine] = replace(claim, policy=policy)
        return [best[spine] for spine in sorted(best)]

    def count_kept(self, now_unix_s: float) -> int:
        """How many units have an active claim.  Counted from all claims once, then kept up until
        a claim expires or a policy changes."""
        with self._lock:
            count, changes = self._kept_count, self._changes
        if count is None or not count.holds(now_unix_s):
            count = KeptCount(now_unix_s)
            newest = _Newest(self)
            for _, rows in groupby(self._on(None), _unit_of_row):
                count.add(newest.of(each.policy) for each in self._heads(rows))
            with self._lock:
                if changes == self._changes:
                    self._kept_count = count
        return count.units

    def usage(
        self,
        owner: bytes,
        origin: str,
        now_unix_s: float,
        *,
        but: tuple[bytes, bytes] | None = None,
        key: DhtKey | None = None,
    ) -> Usage:
        """What claims, pending ones too, make this node keep for one owner and by one origin.
        ``but`` (unit, root) leaves that claim and the content of its unit out: what is asked for is
        judged as a whole.  Where only the unit's ``key`` is known, its content is left out."""
        with self._lock:
            return self._charged.usage(owner, origin, now_unix_s, but=but, key=key)

    def kept_bytes(self, owner: bytes, key: DhtKey) -> int:
        """How much of the unit behind ``key`` is kept here for that owner."""
        with self._lock:
            return self._charged.kept_bytes(owner, key)

    def holdings(self, now_unix_s: float) -> Holdings:
        """Whose data is kept here, and how much of whom most."""
        with self._lock:
            return self._charged.holdings(now_unix_s)

    def ledger_bytes(self) -> int:
        """What the rows of all claims take beside the blocks."""
        with self._lock:
            return self._charged.ledger_bytes

    def forget(self, unit: bytes) -> None:
        """Drop the claims on a unit that is gone, not those pending; policies stay the newest."""
        with self._lock:
            count = self._kept_count
            if count is not None and self._any_active(unit, count.since_unix_s):
                count.units -= 1
            self._charged.forget(unit)
            self._changes += 1

    # --- rows -------------------------------------------------------------------------------

    def _on(self, unit: bytes | None) -> Rows:
        """Rows of claims on one unit, or on all: those of one unit are neighbours."""
        prefix = CLAIMS if unit is None else CLAIMS + part(unit)
        return scan_all(self._table, prefix, _LOOKED_AT_ROWS)

    def _heads(self, rows: Rows) -> Iterator[ClaimHead]:
        return self._sound(decode_head, rows)

    def _sound(self, read: Callable[[bytes], T], rows: Rows) -> Iterator[T]:
        for key, value in rows:
            if (found := sound(read, key, value, self._tracer)) is not None:
                yield found


class _Newest:
    """The newest policies, of those asked for last: few owners have many units."""

    def __init__(self, claims: Claims) -> None:
        self._claims, self._held = claims, dict[bytes, Policy]()

    def of(self, policy: Policy) -> Policy:
        """Of its owner and root; the policy itself where the ledger has none."""
        key = policy_key(policy.owner, policy.root)
        if key not in self._held:
            if len(self._held) >= _POLICIES_HELD_MAX:
                self._held.clear()
            self._held[key] = self._claims.policy(policy.owner, policy.root) or policy
        return self._held[key]


def _unit_of_row(row: tuple[bytes, bytes]) -> bytes:
    return unit_of(row[0])
