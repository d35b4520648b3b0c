"""Which units a root is made of, asking the network for its spine where we don't hold it."""

from __future__ import annotations

from dhtstore.content.dag.units import unit_wants
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.fetching.session import FetchSession


async def root_units(session: FetchSession, root: Cid) -> list[Unit]:
    """Raises what ``FetchSession.ask`` raises, and MalformedDag."""
    return await session.ask(unit_wants(root))
