"""How safe what a node put or holds is: its views, with what its duties know."""

from __future__ import annotations

from functools import partial

from dhtstore.model.cid import Cid
from dhtstore.node.duties.owning.outlook import Outlook
from dhtstore.node.duties.owning.weakest import Weakest
from dhtstore.node.node import Node
from dhtstore.node.views.copies.root_status import root_status
from dhtstore.node.views.copies.safety import Safety, safety_known
from dhtstore.operations.nodes import RootStatus
from dhtstore.operations.safety import CopiesStatus


async def safety_of(node: Node) -> Safety:
    """What it knows of the holders of its puts by now.  Raises HomeUnusable."""
    now_unix_s = node.ports.clock.unix_s()
    watched, periods = node.repair.fellows.known(), node.settings.periods
    return await safety_known(node.disk, node.ledger, now_unix_s, watched, periods)


async def root_status_of(node: Node, root: Cid, *, check: bool) -> RootStatus:
    """Raises as ``root_status``."""
    min_acks, safety = node.settings.min_acks, partial(safety_of, node)
    async with node.fetch_session() as session:
        told = await root_status(
            session, node.checker(), root, min_acks, check=check, safety=safety
        )
    return await Outlook(node.repair).of_root(told)


async def copies_of(node: Node) -> CopiesStatus | None:
    """None on a client, which watches nobody.  Raises HomeUnusable."""
    if not node.settings.storage:
        return None
    return await Weakest(Outlook(node.repair), node.ledger.holders).status()
