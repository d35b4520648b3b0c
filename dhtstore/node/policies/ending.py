"""What owners want by now counts here at once: an owner's signature needs no second look.  Claims
that they removed end, and of this node's own owner what was put here follows: it was changed or
ended on another machine with the owner's key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.kept import unit_of_claim
from dhtstore.node.keeping.ending.own import EndOwn
from dhtstore.store.ledger.claims import STANDING
from dhtstore.store.ledger.health.events import EventRow
from dhtstore.store.ledger.puts import PutRecord


@dataclass(frozen=True, slots=True)
class EndRemoved:
    """``own`` ends what was put here; ``kept_no_more`` is told of units, ``left`` that there may be
    garbage."""

    disk: Disk
    ledger: Ledger
    own: EndOwn
    clock: Clock
    kept_no_more: Callable[[list[Unit]], None]
    left: Callable[[], None]

    async def heard(self, policy: Policy) -> None:
        """Of its owner and root this counts, or a newer one.  Raises NoRoom, HomeUnusable."""
        self.told(await self.disk.blocking.run(self.heed, policy.owner, Cid(policy.root)))
        if policy.removed and policy.owner != self.own.own:
            self.left()  # what others claimed is found by looking through all claims: once for many

    def heed(self, owner: bytes, root: Cid) -> list[Unit]:
        """Have what was put here follow what its owner wants by now; the units of what ended so.
        In a worker."""
        policy = self.ledger.claims.policy(owner, root.raw) if owner == self.own.own else None
        if policy is None:
            return []
        record = self.ledger.puts.get(root)
        if policy.removed:
            return self._removed_elsewhere(root, record) if self.own.is_ours(root) else []
        if record is not None and record.policy.precedence < policy.precedence:
            units = self.ledger.roots.units(root)
            self.ledger.puts.save(replace(record, policy=policy), units)
        return []

    def _removed_elsewhere(self, root: Cid, record: PutRecord | None) -> list[Unit]:
        """Who looks for it in vain finds out why."""
        why = "its owner removed it on another machine"
        if record is not None:
            why += f", it was put here as {record.name}"
        units = self.own.end(root)
        row = EventRow(self.clock.unix_s(), "removed", root.raw, root.raw, why)
        self.ledger.events.add(row)
        return units

    def end(self, claims: Iterable[Claim]) -> list[Unit]:
        """Their units; in a worker."""
        ended = [each for each in claims if self.ledger.claims.end_lapsed(each, STANDING)]
        return [unit_of_claim(each) for each in ended]

    def told(self, units: list[Unit]) -> None:
        """These were kept by claims that ended."""
        if units:
            self.kept_no_more(units)
            self.left()

    def of(self, policy: Policy, units: Iterable[bytes]) -> list[Claim]:
        """What its owner claims of ``units`` for its root; in a worker."""
        return list(self.ledger.claims.owned(policy.owner, policy.root, units))
