"""How many units have an active claim, without going through all claims each time."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from dhtstore.model.policy import Claim, Policy


class KeptCount:
    """``units`` is right from ``since_unix_s`` until the first of the claims counted expires:
    a claim that is over never begins again by itself."""

    def __init__(self, since_unix_s: float) -> None:
        self.units = 0
        self._since_unix_s, self._until_unix_s = since_unix_s, inf

    def holds(self, now_unix_s: float) -> bool:
        return self._since_unix_s <= now_unix_s < self._until_unix_s

    def replace(self, before: Iterable[Claim], after: Iterable[Claim]) -> None:
        """The claims on one unit, with their newest policies, changed from one to the other."""
        ends = self._ends(after)
        self.units += bool(ends) - bool(self._ends(before))
        self._until_unix_s = min([self._until_unix_s, *ends])

    def _ends(self, claims: Iterable[Claim]) -> list[float]:
        policies = (claim.policy for claim in claims)
        return [ends_unix_s(each) for each in policies if each.active(self._since_unix_s)]


def ends_unix_s(policy: Policy) -> float:
    """When a claim under it is over, in unix seconds: 0 once removed, infinite if never."""
    if policy.removed:
        return 0
    return policy.expires or inf
