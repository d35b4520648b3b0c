"""Everything a Node is handed: the world (ports) and its settings.

Whoever starts a Node chooses the implementations; nothing else differs between production and
simulation, and no code asks which it is in.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from dhtstore.params import DEFAULT_REPLICAS
from dhtstore.replication.admission import Accept
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.trace import Tracer, no_trace

OPEN_NETWORK: Final = Network()


@dataclass(frozen=True, slots=True)
class Ports:
    """The seam, filled in."""

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


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What the operator chose, resolved to values.

    ``capacity_bytes`` 0 makes a client.  ``advertise`` are the addresses told to others; empty
    means those of the endpoint.  An ``ephemeral`` node asks but is never put in routing tables: a
    command that runs without a daemon.
    """

    network: Network = OPEN_NETWORK
    capacity_bytes: int = 0
    replicas: int = DEFAULT_REPLICAS
    min_acks: int | None = None
    accept: Accept = Accept.ANYONE
    owners: frozenset[bytes] = frozenset()
    owner_quota_bytes: int = 0
    domain: str = ""
    advertise: tuple[Address, ...] = ()
    ephemeral: bool = False
    limit_up: RateSchedule = NO_LIMIT
    limit_down: RateSchedule = NO_LIMIT

    @property
    def storage(self) -> bool:
        return self.capacity_bytes > 0
