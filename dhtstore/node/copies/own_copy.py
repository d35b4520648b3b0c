"""What the uploader itself holds of a unit: the measure of all copies, and on a storage node that
puts replica 1."""

from __future__ import annotations

from dhtstore.content.dag.local import BlocksHere, Leaves, walk_local
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk
from dhtstore.node.copies.acknowledge import claim_on


async def own_claim(
    disk: Disk,
    unit: Unit,
    policy: Policy,
    leaves: Leaves = Leaves.PRESENT,
    blocks: BlocksHere | None = None,
) -> Claim:
    """Walk the unit in our store, or in ``blocks`` that are elsewhere: what there is to claim.
    Raises BlockMissing, BlockDamaged, MalformedDag.

    The put that asks has hashed every block and written it, or compared it with what was
    stored: leaves are only checked for presence, and not even that where this node will not
    sign for them.
    """
    walk = await disk.blocking.run(walk_local, blocks or disk.store, unit, leaves)
    return claim_on(walk, policy)
