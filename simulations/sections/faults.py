"""``[faults]``: what breaks, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from simulations.datagram_kinds import ANSWER, KINDS
from simulations.settings import choice, duration, number, share


@dataclass(frozen=True, slots=True)
class FaultSettings:
    """How often each kind strikes, per node and hour (drops, outages and partitions: per network
    and hour).  A drop takes every datagram of one kind: ``drop_kind``, or one chosen at random.  An
    outage takes the power of all machines of one failure domain, chosen at random."""

    crashes_per_h: float = number(0.0, 0.0, 3600.0)
    disk_full_per_h: float = number(0.0, 0.0, 3600.0)
    slow_disk_per_h: float = number(0.0, 0.0, 3600.0)
    bit_rot_per_h: float = number(0.0, 0.0, 3600.0)
    lost_writes_per_h: float = number(0.0, 0.0, 3600.0)
    sleeps_per_h: float = number(0.0, 0.0, 3600.0)
    drops_per_h: float = number(0.0, 0.0, 3600.0)
    domain_outages_per_h: float = number(0.0, 0.0, 3600.0)
    partitions_per_h: float = number(0.0, 0.0, 3600.0)
    drop_kind: str = choice("any", *KINDS, ANSWER)
    lying: float = share(0)
    lasting_s: float = duration("5 min")
    restart_after_s: float = duration("30 s")
    asleep_s: float = duration("8 h")
