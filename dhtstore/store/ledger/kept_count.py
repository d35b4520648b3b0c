"""How many units have an active claim, without going through all claims each time."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from dhtstore.model.policy import Policy


class KeptCount:
    """``units`` is right from ``since_unix_s`` until the
    first of the claims counted expires: a claim that is over never begins again by itself."""

    def __init__(self, since_unix_s: float) -> None:
        self.units = 0
        self.since_unix_s, self._until_unix_s = since_unix_s, inf

    def holds(self, now_unix_s: float) -> bool:
        return self.since_unix_s <= now_unix_s < self._until_unix_s

    def add(self, policies: Iterable[Policy], *, kept: bool = False) -> None:
        """More claims on one unit, by their newest policies; ``kept`` is whether it had an active
        claim before."""
        before = kept
        for each in policies:
            if each.active(self.since_unix_s):
                kept = True
                self._until_unix_s = min(self._until_unix_s, ends_unix_s(each))
        self.units += kept and not before


def ends_unix_s(policy: Policy) -> float:
    """When a claim under it is over, in unix seconds: 0 once removed, infinite if never."""
    if policy.removed:
        return 0
    return policy.expires or inf
