"""status: how this node is doing, and how well a root is provided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node
from dhtstore.node.flows.root_units import root_units
from dhtstore.node.views.providers import unit_providers
from dhtstore.node.views.receipt_view import unit_text

if TYPE_CHECKING:
    from dhtstore.node.node import Node


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Sizes in bytes, ``uptime`` in seconds; ``capacity`` 0 on a client.  ``units`` counts those
    kept here because of a claim."""

    node: str
    network: str
    uptime: float
    peers: int
    storage_peers: int
    capacity: int
    used: int
    blocks: int
    units: int
    puts: int
    records: int


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """Who provides one unit, by node id."""

    unit: str
    size: int
    providers: list[str]


@dataclass(frozen=True, slots=True)
class RootStatus:
    """``replicas`` is what was asked for when it was put from here, None if it was not;
    ``copies`` the smallest number of providers over the units."""

    cid: str
    replicas: int | None
    copies: int
    units: list[UnitStatus]


async def node_status(node: Node) -> NodeStatus:
    blocking, store = node.ports.blocking, node.ports.store
    contacts = node.dht.contacts()
    return NodeStatus(
        node=format_node(node.node_id),
        network=node.settings.network.name,
        uptime=round(node.ports.clock.monotonic_s() - node.started_s, 1),
        peers=len(contacts),
        storage_peers=sum(contact.storage for contact in contacts),
        capacity=node.settings.capacity_bytes,
        used=store.used_bytes,
        blocks=await blocking.run(store.count),
        units=len(await blocking.run(node.claims.units_kept, node.ports.clock.unix_s())),
        puts=len(await blocking.run(node.puts.list)),
        records=node.dht.records_held,
    )


async def root_status(node: Node, root: Cid) -> RootStatus:
    """Asks the network, one unit after the other; raises what ``root_units`` raises."""
    record = await node.ports.blocking.run(node.puts.get, root)
    rows = []
    for unit in await root_units(node, root):
        found = await unit_providers(node, unit)
        rows.append(UnitStatus(unit_text(unit.name), unit.size_bytes, [row.node for row in found]))
    return RootStatus(
        cid=str(root),
        replicas=record.policy.replicas if record else None,
        copies=min(len(row.providers) for row in rows),
        units=rows,
    )
