"""Which units a root is made of, asking the network for its spine where we don't hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.content.dag.units import unit_wants
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.fetching.reading import ask

if TYPE_CHECKING:
    from dhtstore.node.node import Node


async def root_units(node: Node, root: Cid) -> list[Unit]:
    """Raises what ``reading.ask`` raises, and MalformedDag."""
    return await ask(node, unit_wants(root))
