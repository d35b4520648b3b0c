"""How single claims end: their owner has removed them here, or they are over."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import inf
from typing import Final

from dhtstore.model.policy import Claim, Policy
from dhtstore.store.ledger.charging.charged import Charged
from dhtstore.store.ledger.charging.owed import Owed
from dhtstore.store.ledger.contract import scan_all
from dhtstore.store.ledger.entries import (
    claim_key,
    decode_claim,
    decode_head,
    decode_signed,
    part,
    pending_key,
    sound,
)
from dhtstore.store.ledger.kept_count import KeptCount, ends_unix_s
from dhtstore.trace import Tracer

CLAIMS: Final = b"claim/"
POLICIES: Final = b"policy/"
_SHORTENED: Final = b"shortened/"
_LOOKED_AT_ROWS: Final = 8  # at once: a row takes up to 400 KiB


class EndingClaims:
    """The part of ``Claims`` that ends single ones."""

    _table: Owed
    _charged: Charged
    _tracer: Tracer
    _lock: threading.RLock
    _kept_count: KeptCount | None
    _changes: int

    def policy(self, owner: bytes, root: bytes) -> Policy | None:
        """The newest policy known of this owner for this root."""
        key = policy_key(owner, root)
        raw = self._table.get(key)
        return None if raw is None else sound(_decode_policy, key, raw, self._tracer)

    def policies(self) -> Iterator[Policy]:
        """The newest of all owners and roots that something here was under, a page at a time."""
        for key, raw in scan_all(self._table, POLICIES):
            policy = sound(_decode_policy, key, raw, self._tracer)
            if policy is not None:
                yield policy

    def count_policies(self) -> int:
        """How many of these there are."""
        return self._table.count(POLICIES)

    def shortened(self, policy: Policy) -> bool:
        """Whether it expires before one that it has replaced, of its owner and root, or what that
        removed: who has not heard of it keeps by that what is over."""
        return self._table.get(_shortened_key(policy)) is not None

    def forget_policy(self, policy: Policy) -> None:
        """Nothing here is under it any more, and nothing can come to be by an older one."""
        with self._lock:
            rows = [policy_key(policy.owner, policy.root), _shortened_key(policy)]
            self._table.write([], rows)

    def lapsed(self, now_unix_s: float) -> Iterator[Claim]:
        """Claims that are over, a page of rows at a time: their owners removed them, or they
        expired before ``now_unix_s``."""
        for key, raw in scan_all(self._table, CLAIMS, _LOOKED_AT_ROWS):
            head = sound(decode_head, key, raw, self._tracer)
            if head is not None and not self._newest(head.policy).active(now_unix_s):
                claim = sound(decode_claim, key, raw, self._tracer)
                if claim is not None:
                    yield claim

    def end_lapsed(self, claim: Claim, now_unix_s: float) -> bool:
        """Drop one that is over; False if it is not, by a newer policy."""
        with self._lock:
            over = not self._newest(claim.policy).active(now_unix_s)
            if over:
                self.end(claim)
            return over

    def end(self, claim: Claim) -> None:
        """Drop one claim, pending or not: nobody is charged for it from now on."""
        with self._lock:
            self._charged.remove(claim, claim_key(claim))
            self._charged.remove(claim, pending_key(claim))
            self._kept_count = None
            self._changes += 1

    def owned(self, owner: bytes, root: bytes, units: Iterable[bytes]) -> Iterator[Claim]:
        """What ``owner`` claims of ``units`` for ``root``, under its newest policy."""
        newest = self.policy(owner, root)
        for unit in units:
            key = CLAIMS + part(unit) + part(owner) + root
            raw = self._table.get(key)
            claim = None if raw is None else sound(decode_claim, key, raw, self._tracer)
            if claim is not None:
                yield replace(claim, policy=newest or claim.policy)

    def _newest(self, policy: Policy) -> Policy:
        """Of its owner and root; the policy itself where the ledger has none."""
        return self.policy(policy.owner, policy.root) or policy


def policy_key(owner: bytes, root: bytes) -> bytes:
    """Of the row of the newest policy."""
    return POLICIES + part(owner) + root


def rows_in_force(policy: Policy, known: Policy | None) -> list[tuple[bytes, bytes]]:
    """That ``policy`` is the newest from now on, in the place of ``known``."""
    rows = [(policy_key(policy.owner, policy.root), policy.packed)]
    if known is not None and policy.expires and not policy.removed:
        before_unix_s = inf if known.removed else ends_unix_s(known)
        if before_unix_s > policy.expires:
            rows.append((_shortened_key(policy), b""))
    return rows


def _shortened_key(policy: Policy) -> bytes:
    return _SHORTENED + part(policy.owner) + policy.root


def _decode_policy(raw: bytes) -> Policy:
    return decode_signed(Policy, raw)
