"""The units that are kept here for a claim, with what is known of their other copies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.copies.kept import Named, unit_of_claim
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.node.identity import Identity
from dhtstore.params import RECORD_FUTURE_SKEW_MAX_S
from dhtstore.store.ledger.health.holders import HolderRows, HoldersRow, UnitId

_UNITS_AT_ONCE: Final = 64  # read from the ledger, judged, written back
_OWN: Final = "this node's own user keeps it"


@dataclass(frozen=True, slots=True)
class Units:
    """Reads them, a page of the ledger at a time; ``rows`` is what is known of copies."""

    identity: Identity
    completeness: Completeness
    rows: HolderRows

    async def pages(self, *, at_least: int = 2) -> AsyncIterator[list[Watched]]:
        """All of them that have a claim for so many copies; of one alone nobody else knows."""
        run = self.completeness.disk.blocking.run
        names = self.completeness.names_in_turn(self.identity.now_unix_s())
        while some := await run(_some, names):
            if units := await run(self._read, some, at_least):
                yield units

    async def named(self, ids: Sequence[UnitId], *, at_least: int = 2) -> list[Watched]:
        """Those of them that are kept, for a claim as ``pages`` has it."""
        return await self.completeness.disk.blocking.run(self._named, ids, at_least)

    async def by_now(self, one: Watched, *, at_least: int = 2) -> bool:
        """Give it what its owners want, and why it stays, as it is now: the look at all units
        before may be hours ago.  False where they want it no more."""
        kept = await self.named([one.id], at_least=at_least)
        for each in kept:
            one.claim, one.stays = each.claim, each.stays
        return bool(kept)

    def forget(self, met: Collection[UnitId]) -> None:
        """Rows of all others, which are not kept any more; in a worker."""
        self.rows.save({}, [unit for unit in self.rows.units() if unit not in met])

    def _named(self, ids: Sequence[UnitId], at_least: int) -> list[Watched]:
        wanted, ledger = set(ids), self.completeness.ledger
        if not any(True for name, _ in ids for _ in ledger.claims.for_unit(name)):
            return []  # before pins are looked through: whoever audits may name anything
        roots = self.completeness.pinned()
        pinned = {unit.name for root in roots for unit in ledger.roots.units(root)}
        names = dict.fromkeys(name for name, _ in ids)
        found = [Named(each, first=each in pinned or ledger.claims.owns(each)) for each in names]
        return [one for one in self._read(found, at_least) if one.id in wanted]

    def _read(self, names: Sequence[Named], at_least: int) -> list[Watched]:
        """Without what is over in a moment: to holders whose clocks are ahead it is by now, and who
        would bring it to others for that is told that it lost a copy."""
        soon_unix_s = self.identity.now_unix_s() + RECORD_FUTURE_SKEW_MAX_S
        found: list[Watched] = []
        for named in names:
            for claim in self.completeness.ledger.claims.kept(named.name, soon_unix_s):
                unit = unit_of_claim(claim)
                if unit.name == claim.unit and claim.policy.replicas >= at_least:
                    row = self.rows.get((unit.name, unit.spine))
                    stays, made = _OWN if named.first else "", self._made(claim, row)
                    found.append(Watched(unit, claim, stays, row, made))
        return found

    def _made(self, claim: Claim, row: HoldersRow) -> int | None:
        """How many signed for it, once a put from here has come to its end; asked only where fewer
        are known than should be."""
        policy, ledger = claim.policy, self.completeness.ledger
        short = len(row.holders) < policy.replicas - 1
        if not short or policy.owner != self.identity.owner:
            return None
        put = ledger.puts.get(Cid(policy.root))
        if put is None or put.policy != policy:
            return None
        return ledger.receipts.count(put.cid, claim.unit)


def _some(names: Iterator[Named]) -> list[Named]:
    return list(islice(names, _UNITS_AT_ONCE))
