"""rm: what this node's owner had stored ends, here and at all holders.

data path: root -> is it this owner's? -> who holds it -> a removal, signed and written down -> put,
pin and claims here end -> the removal is stored for holders that are away -> the others are told.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.keeping.removing import Removing
from dhtstore.node.policies.changing import FOREVER, Changed, PolicyChanges
from dhtstore.operations.keeping import RemovedPut


@dataclass(frozen=True, slots=True)
class RemoveEverywhere:
    """``here`` ends what is on this node."""

    changes: PolicyChanges
    here: Removing

    async def remove(self, session: FetchSession, root: Cid) -> RemovedPut:
        """Raises as ``Removing.remove``, unless some node was told before that this owner wants
        copies.  What was removed already is told once more to those that it finds."""
        book, run = self.changes.book, self.changes.book.disk.blocking.run
        self.here.check_free(root)
        is_here = self.here.ending.is_ours
        seen = await book.known(root)
        if seen is None and not await run(is_here, root):
            await self.here.refuse(root)
        units = await self.changes.units(session, root)
        names = [unit.name for unit in units] or await run(self.here.claimed, root)
        holders = await self.changes.holders.holders(root, units)
        removal = self._removal(root, seen)
        await run(lambda: book.ledger.claims.update(removal, anyway=True))
        removed = RemovedPut(str(root), "", 0, 0, False)
        if await run(is_here, root):
            removed = await self.here.remove(root)
        others_here = await run(self.here.others, names)
        return _result(removed, await self.changes.spread(removal, holders, seen), others_here)

    def _removal(self, root: Cid, seen: Policy | None) -> Policy:
        """The one that there is, or a new one."""
        if seen is not None and seen.removed:
            return seen
        replicas = seen.replicas if seen else 1
        return self.changes.book.signed(
            root, seen, replicas=replicas, expires=FOREVER, removed=True
        )


def _result(removed: RemovedPut, changed: Changed, others_here: int) -> RemovedPut:
    told = changed.told
    return replace(
        removed,
        elsewhere=len(told.told) + len(told.unreached),
        told=len(told.told),
        unreached=len(told.unreached),
        others=told.others + others_here,
        stored=changed.stored,
    )
