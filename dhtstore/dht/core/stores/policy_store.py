"""What owners want for their roots: the policies that anybody may entrust to this node."""

from __future__ import annotations

import math
from typing import Final

from dhtstore.dht.core.record_rules import Verdict, policy_form, policy_over
from dhtstore.dht.core.stores.held import OURS, HeldRecord, Standing, rank_of
from dhtstore.dht.core.stores.places import Places
from dhtstore.model.policy import Policy
from dhtstore.params import POLICY_RECORDS_MAX, POLICY_TTL_S

_RENEWED_S: Final = POLICY_TTL_S / 8  # brought again within that it changes nothing


class PolicyStore:
    """The policy of greatest precedence of each owner and root, for POLICY_TTL_S since it was last
    brought.  A key is made of both, so nobody has the place of another; where the store is full,
    the most crowded origin gives way, and of that the keys farthest from us."""

    __slots__ = ("_by_key", "_now", "_own_id", "_places", "_unix_s")

    def __init__(self, own_id: bytes) -> None:
        self._by_key: dict[bytes, HeldRecord] = {}
        self._own_id, self._places = own_id, Places(POLICY_RECORDS_MAX)
        self._now, self._unix_s = 0.0, 0.0

    @property
    def crowded(self) -> bool:
        """Whether places are scarce."""
        return self._places.crowded

    def tick(self, now: float, unix_s: float) -> None:
        """Set the time (``now`` in monotonic seconds) and drop some of what ended."""
        self._now, self._unix_s = now, unix_s
        for held in self._places.ended(now):
            self._drop(held)

    def verdict(self, policy: Policy, standing: Standing = OURS) -> Verdict:
        """What ``add`` would answer; cheap, so ask before checking a signature."""
        if not policy_form(policy):
            return Verdict.MALFORMED
        if policy_over(policy, self._unix_s):
            return Verdict.OUT_OF_TIME
        held = self._by_key.get(policy.key)
        if held is not None:
            known: Policy = held.record
            above = policy.precedence >= known.precedence
            return Verdict.KEPT if above else Verdict.HELD_NEWER
        room = not self._places.full or self._giving_way(policy, standing) is not None
        return Verdict.KEPT if room else Verdict.FULL

    def _giving_way(self, policy: Policy, standing: Standing) -> HeldRecord | None:
        rank = rank_of(self._own_id, policy.key, standing)
        return self._places.giving_way(standing.origin, rank, ours=standing.ours)

    def holds(self, policy: Policy) -> bool:
        """Whether exactly this one is held, so that its signature is already checked."""
        held = self._by_key.get(policy.key)
        return held is not None and bool(held.record == policy)

    def add(self, policy: Policy, standing: Standing = OURS) -> Verdict:
        """Keep one whose signature was checked, anew if it is held already."""
        verdict = self.verdict(policy, standing)
        if verdict is Verdict.KEPT and not self._lately(policy):
            self._put(policy, standing)
        return verdict

    def restore(self, policy: Policy, standing: Standing, left_s: float) -> bool:
        """Keep for at most ``left_s`` seconds what an earlier run kept; False if there is no place
        for it or its time is over.  Its signature was checked."""
        if policy.key in self._by_key:
            return True  # what came since then has at least its precedence, or is told of it
        fits = left_s > 0 and self.verdict(policy, standing) is Verdict.KEPT
        if fits:
            self._put(policy, standing, left_s)
        return fits

    def watch(self, changed: dict[bytes, None]) -> None:
        """From now on put down there the names of records that come and go."""
        self._places.changed = changed

    def _lately(self, policy: Policy) -> bool:
        held = self._by_key.get(policy.key)
        left_s = held.expires_s - self._now if held is not None else 0.0
        return self.holds(policy) and left_s > POLICY_TTL_S - _RENEWED_S

    def _put(self, policy: Policy, standing: Standing, left_s: float = math.inf) -> None:
        old = self._by_key.get(policy.key)
        if old is not None:
            self._places.leave(old)
        elif self._places.full:
            self._drop(self._giving_way(policy, standing))
        rank = rank_of(self._own_id, policy.key, standing)
        expires_s = self._now + min(left_s, POLICY_TTL_S)
        held = HeldRecord(policy, policy.key, expires_s, standing, rank, standing.origin)
        self._by_key[policy.key] = held
        self._places.enter(held)

    def _drop(self, held: HeldRecord | None) -> None:
        if held is not None:
            self._places.leave(held)
            del self._by_key[held.key]

    def get(self, key: bytes) -> Policy | None:
        held = self._by_key.get(key)
        return held.record if held is not None and held.expires_s > self._now else None

    def of_key(self, key: bytes) -> HeldRecord | None:
        """What is kept there."""
        return self._by_key.get(key)

    def held(self) -> list[HeldRecord]:
        """All that there are, also those overdue."""
        return list(self._by_key.values())
