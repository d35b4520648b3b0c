"""What goes wrong and when: pure schedules of faults.

A schedule is a list of plain values, so that a failing run can be replayed from its faults and
shrunk by leaving some out.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from dhtstore.model.contact import Address
from simulations.datagram_kinds import ANSWER, KINDS
from simulations.sections.faults import FaultSettings
from simulations.seeds import derived_seed

_AWAITS_MAX = 200  # a crash strikes within that many steps of the node after its time
_HOUR_S = 3600.0
EVERYBODY = -1
DROPPED = (*KINDS, ANSWER)


class FaultKind(StrEnum):
    # amount of both: after how many further awaits of the node
    CRASH = "crash"  # the process is killed: peers' streams are reset
    LOST_WRITES = "lost_writes"  # the power goes: silence, and what was not synced is lost
    DISK_FULL = "disk_full"  # amount: bytes that still fit
    SLOW_DISK = "slow_disk"  # amount: milliseconds an operation takes
    BIT_ROT = "bit_rot"  # amount: which of the node's blocks, modulo their number
    SLEEP = "sleep"  # the machine is suspended, and wakes as if no time had passed
    DROP = "drop"  # amount: which of DROPPED, modulo their number; of EVERYBODY
    PARTITION = "partition"  # amount: seed of the halves; of EVERYBODY
    OUTAGE = "domain_outage"  # amount: which failure domain, modulo their number; of EVERYBODY
    LIE = "lie"  # the node serves wrong bytes from then on


_CRASHES = (FaultKind.CRASH, FaultKind.LOST_WRITES)


@dataclass(frozen=True, slots=True)
class Fault:
    """``node`` is EVERYBODY for faults of the network.  A fault that lasts ends by itself."""

    at_s: float
    kind: FaultKind
    node: int
    lasting_s: float
    amount: int

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Fault:
        return cls(**{**values, "kind": FaultKind(values["kind"])})


def schedule(settings: FaultSettings, nodes: int, duration_s: float, seed: int) -> list[Fault]:
    """Poisson arrivals of each kind at each node, in order of time, then node, then kind."""
    found: list[Fault] = []
    for kind, per_h in _node_rates(settings).items():
        for node in range(nodes):
            found += _arrivals(settings, kind, node, per_h, duration_s, seed)
    for kind, per_h in _network_rates(settings).items():
        found += _arrivals(settings, kind, EVERYBODY, per_h, duration_s, seed)
    for node in range(nodes):
        if random.Random(derived_seed(seed, f"fault/lie/{node}")).random() < settings.lying:
            found.append(Fault(0.0, FaultKind.LIE, node, duration_s, 0))
    return sorted(found, key=lambda fault: (fault.at_s, fault.node, fault.kind))


def _node_rates(settings: FaultSettings) -> dict[FaultKind, float]:
    return {
        FaultKind.CRASH: settings.crashes_per_h,
        FaultKind.LOST_WRITES: settings.lost_writes_per_h,
        FaultKind.DISK_FULL: settings.disk_full_per_h,
        FaultKind.SLOW_DISK: settings.slow_disk_per_h,
        FaultKind.BIT_ROT: settings.bit_rot_per_h,
        FaultKind.SLEEP: settings.sleeps_per_h,
    }


def _network_rates(settings: FaultSettings) -> dict[FaultKind, float]:
    return {
        FaultKind.DROP: settings.drops_per_h,
        FaultKind.PARTITION: settings.partitions_per_h,
        FaultKind.OUTAGE: settings.domain_outages_per_h,
    }


def _arrivals(
    settings: FaultSettings, kind: FaultKind, node: int, per_h: float, duration_s: float, seed: int
) -> list[Fault]:
    if not per_h:
        return []
    rng = random.Random(derived_seed(seed, f"fault/{kind}/{node}"))
    found, at_s = list[Fault](), rng.expovariate(per_h / _HOUR_S)
    while at_s < duration_s:
        crash = kind in _CRASHES
        mean_s = _mean_s(settings, kind)
        lasting_s = rng.expovariate(1 / mean_s) if mean_s else 0.0
        amount = 1 + rng.randrange(_AWAITS_MAX) if crash else rng.randrange(2**20)
        if kind is FaultKind.DROP and settings.drop_kind in DROPPED:
            amount = DROPPED.index(settings.drop_kind)
        found.append(Fault(at_s, kind, node, lasting_s, amount))
        at_s += rng.expovariate(per_h / _HOUR_S)
    return found


def _mean_s(settings: FaultSettings, kind: FaultKind) -> float:
    """How long one of that kind lasts on average."""
    if kind is FaultKind.SLEEP:
        return settings.asleep_s
    return settings.restart_after_s if kind in (*_CRASHES, FaultKind.OUTAGE) else settings.lasting_s


def halves(fault: Fault, addresses: Iterable[Address]) -> list[list[Address]]:
    """The two sides of a PARTITION."""
    rng = random.Random(derived_seed(fault.amount, "halves"))
    sides: list[list[Address]] = [[], []]
    for address in addresses:
        sides[rng.randrange(2)].append(address)
    return sides
