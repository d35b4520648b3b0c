"""Everything a Node is handed: the world (ports) and its settings.

Whoever starts a Node chooses the implementations; nothing else differs between production and
simulation, and no code asks which it is in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from dhtstore.config.rates import NO_LIMIT, RateSchedule
from dhtstore.model.contact import Address
from dhtstore.model.network import Network
from dhtstore.net.ports import (
    Blocking,
    Clock,
    Crypto,
    Endpoint,
    Entropy,
    Interfaces,
    StreamTransport,
)
from dhtstore.params import DEFAULT_REPLICAS, REPAIR_BUDGET_DIVISOR
from dhtstore.replication.admission import Accept
from dhtstore.replication.health.periods import USUAL_PERIODS, Periods
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.trace import Tracer, no_trace

OPEN_NETWORK: Final = Network()


@dataclass(frozen=True, slots=True)
class Ports:
    """The seam, filled in.  ``keep_capacity`` writes down, in a worker, how much of the disk is
    given from now on; raises InvalidSetting where it can't be, HomeUnusable."""

    clock: Clock
    entropy: Entropy
    crypto: Crypto
    endpoint: Endpoint
    interfaces: Interfaces
    streams: StreamTransport
    blocking: Blocking
    store: BlockStore
    ledger: KeyValue
    tracer: Tracer = no_trace
    keep_capacity: Callable[[int], None] = lambda capacity_bytes: None


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What the operator chose, resolved to values.

    ``capacity_bytes`` 0 makes a client.  ``advertise`` are the addresses told to others; empty
    means those of the endpoint.  An ``ephemeral`` node asks but is never put in routing tables: a
    command that runs without a daemon.  ``owner_divisor`` is which part of the capacity
    ``owner_quota_bytes`` are, 0 where the operator chose them.
    ``donate_bytes`` of the capacity are for what is short of copies.
    ``repair_budget_bytes`` may be sent in a day for repairs, None means a part of the capacity;
    ``periods`` is how long what repair does takes.
    """

    network: Network = OPEN_NETWORK
    capacity_bytes: int = 0
    replicas: int = DEFAULT_REPLICAS
    min_acks: int | None = None
    accept: Accept = Accept.ANYONE
    owners: frozenset[bytes] = frozenset()
    owner_quota_bytes: int = 0
    owner_divisor: int = 0
    domain: str = ""
    lookup_paths: int = 1
    advertise: tuple[Address, ...] = ()
    ephemeral: bool = False
    limit_up: RateSchedule = NO_LIMIT
    limit_down: RateSchedule = NO_LIMIT
    donate_bytes: int = 0
    repair_budget_bytes: int | None = None
    periods: Periods = USUAL_PERIODS

    @property
    def storage(self) -> bool:
        return self.capacity_bytes > 0

    @property
    def donated_bytes(self) -> int:
        """Of a capacity that may be smaller by now."""
        return min(self.donate_bytes, self.capacity_bytes)

    @property
    def repair_day_bytes(self) -> int:
        """What repairs may send in a day."""
        if self.repair_budget_bytes is None:
            return self.capacity_bytes // REPAIR_BUDGET_DIVISOR
        return self.repair_budget_bytes

    def giving(self, capacity_bytes: int) -> NodeSettings:
        """The same with so much of the disk."""
        part = self.owner_divisor
        owner_bytes = capacity_bytes // part if part else self.owner_quota_bytes
        return replace(self, capacity_bytes=capacity_bytes, owner_quota_bytes=owner_bytes)
