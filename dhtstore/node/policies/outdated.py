"""A copy is declined since its owner has signed a newer policy: that is looked up at once, instead
of at this node's own renewal in two days.  The word of who declines is no more than a hint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from dhtstore.errors import Unreachable
from dhtstore.model.contact import subnet
from dhtstore.model.policy import Policy
from dhtstore.net.accepting import Rations
from dhtstore.net.ports import Clock
from dhtstore.params import (
    POLICY_HINTS_ALL_AT_ONCE,
    POLICY_HINTS_ALL_PER_S,
    POLICY_HINTS_AT_ONCE,
    POLICY_HINTS_PER_S,
)
from dhtstore.replication.placement import Placement

_EACH = POLICY_HINTS_AT_ONCE, POLICY_HINTS_PER_S
_ALL = POLICY_HINTS_ALL_AT_ONCE, POLICY_HINTS_ALL_PER_S
_DECLINED = "policy"  # the code of such a refusal


@dataclass(slots=True)
class LookUpOutdated:
    """``newest`` finds what an owner wants for a root by now, which counts here from then on.  Each
    origin that declines has a ration of lookups."""

    newest: Callable[[bytes, bytes], Awaitable[Policy | None]]
    clock: Clock
    _rations: Rations = field(init=False)

    def __post_init__(self) -> None:
        self._rations = Rations(_EACH, _ALL, self.clock.monotonic_s())

    async def look(self, policy: Policy, plan: Placement) -> bool:
        """Whether there is a newer one than ``policy``, under which ``plan`` offered a unit."""
        declined = [each for each in plan.candidates.values() if each.code == _DECLINED]
        if not any(self._may_ask(subnet(each.contact.address)) for each in declined):
            return False
        try:
            newest = await self.newest(policy.owner, policy.root)
        except Unreachable:
            return False
        return newest is not None and newest.precedence > policy.precedence

    def _may_ask(self, origin: str) -> bool:
        if self._rations.wait_s(origin, self.clock.monotonic_s()):
            return False
        self._rations.take(origin)
        return True
