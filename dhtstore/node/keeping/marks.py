"""What must stay: every block of what is kept here, of what is cached and of what is read now.

Built in steps, in workers.  What lies below a block that is gone or damaged cannot be told, and
neither what a damaged row of the ledger kept: while there is such a doubt nothing is garbage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from dhtstore.content.dag.dag_walk import DagWalk
from dhtstore.content.dag.here_walk import HereWalk
from dhtstore.content.dag.local import blocks_met
from dhtstore.content.dag.seen import Seen
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.errors import DhtstoreError
from dhtstore.model.block import stored_bytes
from dhtstore.model.cid import RAW, Cid
from dhtstore.model.policy import Policy
from dhtstore.model.unit import Unit
from dhtstore.node.copies.kept import unit_of_claim
from dhtstore.params import MARKED_AT_ONCE, UNIT_SEEN_MAX
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.ledger.claims import STANDING, Claims
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.pins import Pins
from dhtstore.store.ledger.roots import Roots

_DOUBTS_NAMED_MAX: Final = 1000
Over = Callable[[Policy], bool]


def never(policy: Policy) -> bool:
    """A claim keeps for as long as it stands, whatever the clock says."""
    return False


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is kept below ``root`` (None where a row of the ledger does not tell) cannot be told."""

    root: Cid | None
    why: str


class Marks:
    """One look at all that stays.  ``more`` until it is False; then ``kept`` is complete, unless
    there are ``doubts``: their first thousand, by root.  ``lost`` are the first thousand units that
    are claimed and of which a block is gone that leads to others.  ``alone_bytes`` is, of each root
    that is held, what goes with it: what nothing met before it needs."""

    def __init__(
        self, store: BlockStore, table: KeyValue, held: Sequence[Cid], over: Over = never
    ) -> None:
        """``held`` are roots of which stays what is here: those that are read, and cached ones,
        which are to go last first; claims under a policy that is ``over`` count as ended."""
        self.kept = Kept()
        self.doubts: list[Doubt] = []
        self.lost: dict[Unit, None] = {}
        self.alone_bytes: dict[Cid, int] = {}
        self.blocks = 0
        self._store, self._held = store, dict.fromkeys(held)
        self._over = over
        roots = Roots(table, self._damaged)
        self._claims, self._roots = Claims(table, self._damaged), roots
        self._pins = Pins(table, roots, self._damaged)
        # Below these all was met that is in a unit they are in: of a spine, and of others.
        self._whole, self._losses = {kind: Seen(UNIT_SEEN_MAX) for kind in (True, False)}, 0
        self._held_met = Seen(UNIT_SEEN_MAX)
        self._walking: Cid | None = None
        self._claimed: Unit | None = None  # whose blocks are met now
        self._steps = self._all()

    def more(self) -> bool:
        """Go on for some milliseconds; whether anything is left."""
        return sum(1 for _ in islice(self._steps, MARKED_AT_ONCE)) == MARKED_AT_ONCE

    def hold(self, roots: Sequence[Cid]) -> bool:
        """What is here of these stays, too; whether any is new, so that there is ``more``."""
        new = [root for root in roots if root not in self._held]
        self._held.update(dict.fromkeys(new))
        self._steps = chain(self._steps, self._here(new))
        return bool(new)

    def met_bytes(self) -> int:
        """About how much of what is stored was met."""
        share = self.blocks / max(self.blocks, self._store.count())
        return int(share * self._store.used_bytes)

    def _all(self) -> Iterator[None]:
        for root, unit in self._kept_units():
            yield from self._unit(root, unit)
        for root in self._pinned_unknown():
            yield from self._below(root, HereWalk(root))
        yield from self._here(list(self._held))

    def _here(self, roots: Sequence[Cid]) -> Iterator[None]:
        for root in roots:
            self.alone_bytes[root], known = 0, len(self.kept)
            for cid in self._met(None, HereWalk(root, self._held_met)):
                if len(self.kept) > known:
                    known = len(self.kept)
                    size_bytes = self._store.sizes([cid])[0] or 0
                    self.alone_bytes[root] += stored_bytes(cid, size_bytes)
                yield

    def _kept_units(self) -> Iterator[tuple[Cid, Unit]]:
        """With the root that each is kept for, or one of them."""
        for claim in self._claims.units_kept(STANDING, self._over):
            unit, root = unit_of_claim(claim), Cid(claim.policy.root)
            if unit.name == claim.unit:
                self._claimed = unit
                yield root, unit
                self._claimed = None
            else:
                self._doubt(root, "a claim on it is damaged")
        for pin in self._pins.list():
            for unit in self._roots.units(pin.cid):
                if not self._is_claimed(unit):
                    yield pin.cid, unit

    def _is_claimed(self, unit: Unit) -> bool:
        kept = self._claims.kept(unit.name, STANDING, self._over)
        return any(unit_of_claim(claim) == unit for claim in kept)

    def _pinned_unknown(self) -> Iterator[Cid]:
        """Pins whose units the ledger does not tell."""
        return (pin.cid for pin in self._pins.list() if not self._roots.units(pin.cid))

    def _unit(self, root: Cid, unit: Unit) -> Iterator[None]:
        """A block may be in ever so many units: what lies below it is in each of them, of a spine
        what the links of it say, and is met once, unless something of the unit was lost."""
        losses, known, met = self._losses, self._whole[unit.spine], Seen(UNIT_SEEN_MAX)
        for cid in self._met(root, UnitWalk(unit), known):
            if cid.codec != RAW:
                met.is_new(cid.raw)
            yield
        if self._losses == losses:
            yield from known.take(met)

    def _below(self, root: Cid | None, walk: DagWalk) -> Iterator[None]:
        return (None for _ in self._met(root, walk))

    def _met(self, root: Cid | None, walk: DagWalk, known: Seen | None = None) -> Iterator[Cid]:
        """Of what is kept all must be met; of what is cached what is here."""
        self._walking = root
        for cid in blocks_met(self._store, walk, self._lost, known):
            self.kept.add(cid.multihash)
            self.blocks += 1
            yield cid

    def _lost(self, cid: Cid, error: DhtstoreError) -> None:
        self._losses += 1
        if self._walking is not None:
            self._doubt(self._walking, str(error))
        if self._claimed is not None and len(self.lost) < _DOUBTS_NAMED_MAX:
            self.lost[self._claimed] = None

    def _damaged(self, event: str, **fields: object) -> None:
        """A row of the ledger, as a tracer is told."""
        self._doubt(None, str(fields.get("error", event)))

    def _doubt(self, root: Cid | None, why: str) -> None:
        known = any(each.root == root for each in self.doubts)
        if not known and len(self.doubts) < _DOUBTS_NAMED_MAX:
            self.doubts.append(Doubt(root, why))
