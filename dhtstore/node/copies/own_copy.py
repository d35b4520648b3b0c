"""The uploader's own copy: on a storage node that puts, it is replica 1, with a receipt."""

from __future__ import annotations

from dhtstore.content.dag.local import Leaves, walk_local
from dhtstore.model.policy import Policy
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.acknowledge import SignedCopy, acknowledge, claim_on
from dhtstore.node.identity import Identity


async def own_copy(
    identity: Identity, disk: Disk, ledger: Ledger, unit: Unit, policy: Policy
) -> SignedCopy:
    """Walk the unit in our store and sign for it; raises BlockMissing, BlockDamaged,
    MalformedDag.

    The put that asks has hashed every block and written it, or compared it with what was
    stored: leaves are only checked for presence.
    """
    walk = await disk.blocking.run(walk_local, disk.store, unit, Leaves.PRESENT)
    return await acknowledge(identity, disk, ledger, claim_on(walk, policy))
