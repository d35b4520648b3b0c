"""What goes wrong and when: pure schedules of faults, and the parts that carry them out.

A schedule is a list of plain values, so that a failing run can be replayed from its faults and
shrunk by leaving some out.
"""

from __future__ import annotations

import contextvars
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.blocks.faulty import FaultyBlockStore
from simulations.datagram_kinds import ANSWER, KINDS
from simulations.scenario import Faults
from simulations.seeds import derive
from simulations.world.loop.current_node import CURRENT_NODE
from simulations.world.loop.virtual_loop import VirtualLoop

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
    DROP = "drop"  # amount: which of DROPPED, modulo their number; of EVERYBODY
    PARTITION = "partition"  # amount: seed of the halves; of EVERYBODY
    LIE = "lie"  # the node serves wrong bytes from then on


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


def schedule(settings: Faults, nodes: int, duration_s: float, seed: int) -> list[Fault]:
    """Poisson arrivals of each kind at each node, in order of time, then node, then kind."""
    found: list[Fault] = []
    for kind, per_h in _node_rates(settings).items():
        for node in range(nodes):
            found += _arrivals(settings, kind, node, per_h, duration_s, seed)
    for kind, per_h in _network_rates(settings).items():
        found += _arrivals(settings, kind, EVERYBODY, per_h, duration_s, seed)
    for node in range(nodes):
        if random.Random(derive(seed, f"fault/lie/{node}")).random() < settings.lying:
            found.append(Fault(0.0, FaultKind.LIE, node, duration_s, 0))
    return sorted(found, key=lambda fault: (fault.at_s, fault.node, fault.kind))


def _node_rates(settings: Faults) -> dict[FaultKind, float]:
    return {
        FaultKind.CRASH: settings.crashes_per_h,
        FaultKind.LOST_WRITES: settings.lost_writes_per_h,
        FaultKind.DISK_FULL: settings.disk_full_per_h,
        FaultKind.SLOW_DISK: settings.slow_disk_per_h,
        FaultKind.BIT_ROT: settings.bit_rot_per_h,
    }


def _network_rates(settings: Faults) -> dict[FaultKind, float]:
    return {
        FaultKind.DROP: settings.drops_per_h,
        FaultKind.PARTITION: settings.partitions_per_h,
    }


def _arrivals(
    settings: Faults, kind: FaultKind, node: int, per_h: float, duration_s: float, seed: int
) -> list[Fault]:
    if not per_h:
        return []
    rng = random.Random(derive(seed, f"fault/{kind}/{node}"))
    found, at_s = list[Fault](), rng.expovariate(per_h / _HOUR_S)
    while at_s < duration_s:
        crash = kind in (FaultKind.CRASH, FaultKind.LOST_WRITES)
        mean_s = settings.restart_after_s if crash else settings.lasting_s
        lasting_s = rng.expovariate(1 / mean_s) if mean_s else 0.0
        amount = 1 + rng.randrange(_AWAITS_MAX) if crash else rng.randrange(2**20)
        if kind is FaultKind.DROP and settings.drop_kind in DROPPED:
            amount = DROPPED.index(settings.drop_kind)
        found.append(Fault(at_s, kind, node, lasting_s, amount))
        at_s += rng.expovariate(per_h / _HOUR_S)
    return found


def halves(fault: Fault, addresses: Iterable[Address]) -> list[list[Address]]:
    """The two groups of a PARTITION."""
    rng = random.Random(derive(fault.amount, "halves"))
    groups: list[list[Address]] = [[], []]
    for address in addresses:
        groups[rng.randrange(2)].append(address)
    return groups


class DropKinds:
    """Drops datagrams of the kinds that are switched on; the network's ``drops``."""

    def __init__(self, kind_of: Callable[[bytes], str]) -> None:
        self._kind_of = kind_of
        self._dropped: dict[str, int] = {}
        self.count = 0

    def begin(self, kind: str) -> None:
        self._dropped[kind] = self._dropped.get(kind, 0) + 1

    def end(self, kind: str) -> None:
        self._dropped[kind] -= 1

    def __call__(self, source: Address, target: Address, data: bytes) -> bool:
        dropped = bool(self._dropped) and self._dropped.get(self._kind_of(data), 0) > 0
        self.count += dropped
        return dropped


class AwaitCounter:
    """Calls back just before a node's code goes on after its n-th await from now.

    It watches the loop only while something is armed.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._armed: dict[int, tuple[int, Callable[[], None]]] = {}

    def arm(self, node: int, awaits: int, action: Callable[[], None]) -> None:
        """Replaces what was armed for that node."""
        self._armed[node] = (awaits, action)
        self._loop.on_step = self._step

    def disarm(self, node: int) -> None:
        self._armed.pop(node, None)
        if not self._armed:
            self._loop.on_step = None

    def _step(self, context: contextvars.Context) -> None:
        node = context.get(CURRENT_NODE, EVERYBODY)
        armed = self._armed.get(node)
        if armed is None:
            return
        awaits, action = armed
        if awaits > 1:
            self._armed[node] = (awaits - 1, action)
            return
        self.disarm(node)
        action()


class LyingBlockStore(FaultyBlockStore):
    """Acknowledges every block and, while ``lying``, serves other bytes of the same length.  What
    its own node reads for itself (``get``) is right."""

    def __init__(self, inner: BlockStore) -> None:
        super().__init__(inner)
        self.lying = False

    def get(self, cid: Cid) -> bytes:
        lying, self.lying = self.lying, False
        try:
            return super().get(cid)
        finally:
            self.lying = lying

    def read(self, cid: Cid) -> bytes:
        data = super().read(cid)
        return bytes(byte ^ 0xFF for byte in data[:1]) + data[1:] if self.lying else data


def rot_one(store: FaultyBlockStore, amount: int) -> Cid | None:
    """Damage one block of the store, chosen by the fault; None if it has none."""
    cids = sorted(store.cids())
    if not cids:
        return None
    cid = cids[amount % len(cids)]
    store.rot(cid, amount)
    return cid
