"""verify: read every block of the store again and compare it with its name; then compare what is
kept with what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from dhtstore.errors import HomeUnusable, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.scrubbing.damage_places import DamagedPlace, damage_places
from dhtstore.node.scrubbing.whole_reading import read_all
from dhtstore.operations.operation import Progress, Watch
from dhtstore.replication.scrubbing import whole_pass
from dhtstore.store.ledger.health.scrubbed import ScrubRow

_NAMED_MAX = 1000  # incomplete units that are told by name
_ROOTS_NAMED_MAX = 64  # of one of them


@dataclass(frozen=True, slots=True)
class UnitLack:
    """A unit that is kept for ``roots``, or more than these, and is not here whole, and why."""

    unit: bytes
    roots: list[Cid]
    why: str


@dataclass(frozen=True, slots=True)
class Verified:
    """``size_bytes`` are those of the ``blocks`` that are whole; ``units`` names the first
    _NAMED_MAX of ``incomplete`` units, ``places`` tells what the damaged blocks belong to.
    ``before`` of the blocks were read by runs that were cut short.  ``unwritten`` says why not
    all of it could be written down, "" where it was."""

    blocks: int
    size_bytes: int
    damaged: list[Cid]
    incomplete: int
    units: list[UnitLack]
    places: list[DamagedPlace]
    before: int
    unwritten: str


@dataclass(slots=True)
class _Lacking:
    count: int = 0
    named: list[tuple[Unit, str]] = field(default_factory=list)  # and why

    def add(self, unit: Unit, why: str) -> None:
        self.count += 1
        if len(self.named) < _NAMED_MAX:
            self.named.append((unit, why))


@dataclass(slots=True)
class _Notes:
    """What is written down of it.  A disk that takes nothing keeps nobody from being told."""

    unwritten: str = ""

    def write(self, work: Callable[..., None], *given: object) -> None:
        """In a worker."""
        try:
            work(*given)
        except (NoRoom, HomeUnusable) as error:
            self.unwritten = self.unwritten or str(error)


async def verify(completeness: Completeness, now_unix_s: int, progress: Watch) -> Verified:
    """Blocks and units that are stored or dropped meanwhile may or may not be counted.  Cut short
    while it reads, the next goes on from there.  What is damaged and cannot be written down is told
    without what it belongs to.  Raises HomeUnusable if the ledger cannot be read.
    """
    disk, ledger, notes = completeness.disk, completeness.ledger, _Notes()
    run = disk.blocking.run
    whole = await read_all(disk, ledger.verifying, now_unix_s, progress)
    found = whole.found
    damaged = [cid.multihash for cid in found.damaged]
    await run(notes.write, ledger.damage.replace, damaged)
    lacking, units = _Lacking(), completeness.kept(now_unix_s)
    look = partial(_look_at_one, completeness, units, lacking, notes, now_unix_s)
    while await run(look):
        progress(Progress("comparing", found.size_bytes, None))
    await run(_look_at_unknown, completeness, lacking)
    completeness.looked(lacking.count)
    described = await run(_described, completeness, lacking)
    units_lacking = [unit for unit, _ in lacking.named]
    places = await run(damage_places, disk.store, ledger, set(damaged), units_lacking)
    await run(notes.write, ledger.scrubbed.save, ScrubRow(*whole_pass(whole.began_unix_s)))
    await run(notes.write, ledger.verifying.clear)
    counts = (found.blocks, found.size_bytes, found.damaged, lacking.count)
    return Verified(*counts, described, places, whole.before, notes.unwritten)


def _look_at_one(
    completeness: Completeness,
    units: Iterator[Unit],
    lacking: _Lacking,
    notes: _Notes,
    now_unix_s: int,
) -> bool:
    unit = next(units, None)
    if unit is None:
        return False
    why = completeness.lack_now(unit)
    notes.write(completeness.write_down, unit, why, now_unix_s)
    if why:
        lacking.add(unit, why)
    return True


def _look_at_unknown(completeness: Completeness, lacking: _Lacking) -> None:
    """Pins of an earlier version, whose units cannot be known for want of blocks."""
    for root in completeness.pinned():
        if not completeness.ledger.roots.units(root):
            lacking.add(Unit.of((root,), 0), f"{root} cannot be walked")


def _described(completeness: Completeness, lacking: _Lacking) -> list[UnitLack]:
    claims = completeness.ledger.claims
    pinned = _pinned_for(completeness, {unit.name for unit, _ in lacking.named})
    described = []
    for unit, why in lacking.named:
        of_kind = (each for each in claims.for_unit(unit.name) if each.spine == unit.spine)
        roots = [Cid(claim.policy.root) for claim in islice(of_kind, _ROOTS_NAMED_MAX)]
        roots += [root for root in pinned.get(unit.name, ()) if root not in roots]
        described.append(UnitLack(unit.name, roots or list(unit.roots), why))
    return described


def _pinned_for(completeness: Completeness, names: set[bytes]) -> dict[bytes, list[Cid]]:
    """By unit, of those named, the pinned roots that need it."""
    roots: dict[bytes, list[Cid]] = {}
    for root in completeness.pinned() if names else ():
        for unit in completeness.ledger.roots.units(root):
            if unit.name in names:
                roots.setdefault(unit.name, []).append(root)
    return roots
