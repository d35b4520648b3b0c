"""Operations on nodes: this one, its peers, and how well a root is held."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from dhtstore.operations.operation import Operation


class NodeIdentity(msgspec.Struct, frozen=True):
    """Who a node is: keys in hex, ``addresses`` as HOST:PORT, and the ticket others join by.  Of a
    node that does not run they are those of its next start; none, and ``ticket`` is "", where the
    system will choose its port."""

    node: str
    public_key: str
    owner: str
    network: str
    addresses: list[str]
    ticket: str


class IdentifyNode(Operation[NodeIdentity], frozen=True, kw_only=True):
    """Who this node is."""

    op: ClassVar[str] = "id"
    needs_node: ClassVar[bool] = False


class NodeStatus(msgspec.Struct, frozen=True):
    """Sizes in bytes, ``capacity`` 0 on a client.  ``units`` counts those
    kept here because of a claim, ``records`` the provider records kept for the network.
    ``incomplete_units`` of those that are kept lack blocks, as last looked at; ``damaged_blocks``
    is what the last ``verify`` found.  ``warnings`` say what is wrong around the node.
    ``clock_ahead_s`` is by how many seconds its clock is ahead of most peers', behind if below 0;
    None while too few of them have told.  What only a running node knows is None where none runs
    (``running``), and ``node`` is "" where none ever ran."""

    node: str
    network: str
    uptime_s: float | None
    peers: int | None
    storage_peers: int | None
    capacity: int
    used: int
    blocks: int
    units: int
    puts: int
    records: int | None
    incomplete_units: int | None = 0
    damaged_blocks: int = 0
    warnings: list[str] = []
    clock_ahead_s: float | None = None
    running: bool = True


class DescribeNode(Operation[NodeStatus], frozen=True, kw_only=True):
    """How this node is doing."""

    op: ClassVar[str] = "status"
    needs_node: ClassVar[bool] = False


class UnitStatus(msgspec.Struct, frozen=True):
    """Who provides one unit, by node id."""

    unit: str
    size: int
    providers: list[str]


class RootStatus(msgspec.Struct, frozen=True):
    """``replicas`` is what was asked for when it was put from here, None if it was not;
    ``copies`` the smallest number of providers over the units."""

    cid: str
    replicas: int | None
    copies: int
    units: list[UnitStatus]


class DescribeRoot(Operation[RootStatus], frozen=True, kw_only=True):
    """How many nodes provide each unit of ``root``."""

    op: ClassVar[str] = "root-status"
    about: ClassVar[str] = "root"

    root: str


class KnownPeer(msgspec.Struct, frozen=True):
    """A node of the routing table.  ``seen_s`` is how many seconds ago it last answered; ``rtt_ms``
    None before a measurement."""

    node: str
    address: str
    storage: bool
    rtt_ms: float | None
    seen_s: float


class ListPeers(Operation[list[KnownPeer]], frozen=True, kw_only=True):
    """The routing table, by node id."""

    op: ClassVar[str] = "peers"


class PingResult(msgspec.Struct, frozen=True):
    """Who answered, where, and how fast; ``itself``: the node that was asked to ping."""

    node: str
    address: str
    rtt_ms: float
    itself: bool = False


class PingNode(Operation[PingResult], frozen=True, kw_only=True):
    """A round trip to ``target``: a node id or public key in hex, a ticket or HOST:PORT."""

    op: ClassVar[str] = "ping"

    target: str
