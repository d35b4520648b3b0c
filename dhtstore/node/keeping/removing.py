"""rm: end what was put from here, on this node.

data path: root -> is it ours to end? -> marked as going -> own claims, pin and put, in this order
-> provider records of units that nothing keeps any more are withdrawn -> collected soon.  A crash
leaves the mark, and the next start goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn

from dhtstore.errors import NotHere, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.keeping.ending.own import EndOwn
from dhtstore.node.keeping.staging import Staging
from dhtstore.node.keeping.why import Why
from dhtstore.operations.keeping import KeepReason, RemovedPut


@dataclass(frozen=True, slots=True)
class Removing:
    """``node`` is this node's id; ``kept_no_more`` is told of units that were announced from here
    and that nothing may keep any more."""

    disk: Disk
    ledger: Ledger
    ending: EndOwn
    node: bytes
    staging: Staging
    collector: Collector
    why: Why
    kept_no_more: Callable[[list[Unit]], None]
    now_unix_s: Callable[[], int]

    async def remove(self, root: Cid) -> RemovedPut:
        """End it on this node.  Raises UsageError for what is not this user's to end, or is being
        put now, NotHere for what is not here."""
        self.check_free(root)
        run = self.disk.blocking.run
        if not await run(self.ending.is_ours, root):
            await self.refuse(root)
        removed = await run(self._told, root)
        units = await run(self.ending.end, root)
        self.kept_no_more(units)
        self.collector.left()
        return removed

    def check_free(self, root: Cid) -> None:
        """Raises UsageError if it is being put now."""
        if self.staging.putting[root]:
            raise UsageError(f"{root} is being put right now").hinted(
                "interrupt that put, or wait until it is done"
            )

    def claimed(self, root: Cid) -> list[bytes]:
        """The names of units that our owner claims for it; in a worker."""
        return [claim.unit for claim in self.ending.claims(root)]

    def others(self, units: Iterable[bytes]) -> int:
        """How many claims of other owners on these stand here; in a worker."""
        now_unix_s, claims = self.now_unix_s(), self.ledger.claims
        found = (claim for name in units for claim in claims.for_unit(name))
        return sum(c.policy.owner != self.ending.own and c.policy.active(now_unix_s) for c in found)

    def _told(self, root: Cid) -> RemovedPut:
        record, claims = self.ledger.puts.get(root), self.ending.claims(root)
        nodes = {receipt.node for receipt in self.ledger.receipts.for_root(root)}
        pins = [pin for pin in self.ledger.pins.list() if pin.cid == root and pin.kind == "user"]
        units = {claim.unit: claim.size_bytes for claim in claims}
        return RemovedPut(
            cid=str(root),
            name=record.name if record else "",
            size=record.size_bytes if record else sum(units.values()),
            elsewhere=len(nodes - {self.node}),
            pinned=bool(pins),
        )

    async def refuse(self, root: Cid) -> NoReturn:
        """Raises UsageError or NotHere, with what it is instead."""
        told = await self.why.of(root)
        if not told.reasons:
            raise NotHere(f"{root} was not put here; nothing keeps it, and it goes by itself")
        reason = told.reasons[0]
        error = UsageError(f"{root} was not put here: {_instead(reason, str(root))}")
        raise error.hinted(_advice(reason))


def _instead(reason: KeepReason, root: str) -> str:
    named = f' ("{reason.name}")' if reason.name else ""
    if reason.root != root:
        return f"it is only a part of {reason.root}{named}"
    if reason.kind == "pin":
        return f"it is pinned by hand{named}"
    if reason.kind == "claim":
        return f"it is held for owner {reason.owner}"
    return "it is cached" if reason.kind == "cache" else "it is on its way in"


def _advice(reason: KeepReason) -> str:
    if reason.kind == "pin":
        return f"`dhtstore pin rm {reason.root}` ends that"
    if reason.kind == "put":
        return f"`dhtstore rm {reason.root}` ends all of it"
    if reason.kind == "claim":
        return "its owner ends that, or it expires"
    return "it goes by itself, or now with `dhtstore gc --cache`"
