"""Room that is donated: for what is short of copies; what has fewest gets the last of it.

The node itself has counted how many live copies there are, as it does before it takes anything
under a grant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dhtstore.config import counted
from dhtstore.replication.admission import Admission, Refusal, room_for_others_bytes


@dataclass(frozen=True, slots=True)
class Donation:
    """``used_bytes`` of the ``total_bytes`` that are donated."""

    used_bytes: int
    total_bytes: int

    @classmethod
    def of(cls, rule: Admission, used_bytes: int) -> Donation:
        """Where so much of the disk is used: what is donated is filled last."""
        open_bytes = room_for_others_bytes(rule)
        total_bytes = room_for_others_bytes(rule, granted=True) - open_bytes
        return cls(min(max(0, used_bytes - open_bytes), total_bytes), total_bytes)

    @property
    def free_share(self) -> float:
        return 1 - self.used_bytes / self.total_bytes if self.total_bytes else 0.0


def too_safe(donation: Donation, live: int, wanted: int) -> Refusal | None:
    """Whether a unit with so many live copies of those ``wanted`` must leave what is left to others
    that have fewer: with three wanted, the first half takes any that is short, the second what has
    one copy at most."""
    if not donation.used_bytes:
        return None  # it fits beside what is donated
    live_max = math.ceil(donation.free_share * (wanted - 1))
    if live <= live_max and live < wanted:
        return None
    copies = counted(live, "other holds", "others hold")
    return Refusal("donated", f"{copies} it: what is left here is for what has fewer copies")
