"""What this node keeps: units with an active claim, and those of pinned roots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dhtstore.content.dag.local import Leaves, local_units, walk_local
from dhtstore.errors import BlockMissing, IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim
from dhtstore.model.unit import Unit, unit_text
from dhtstore.node.context import Ledger
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.ledger.claims import Claims
from dhtstore.trace import Tracer, no_trace


def kept_units(
    store: BlockStore, ledger: Ledger, now_unix_s: float, tracer: Tracer
) -> Iterator[Unit]:
    """Each unit once, claimed ones first, from the ledger a page at a time.

    What is damaged is passed over, and the trace says so: a row of the ledger, and a pinned
    root whose units are not in the ledger and whose blocks are gone or damaged.
    """
    for claim in ledger.claims.units_kept(now_unix_s):
        yield from _sound_unit(claim, tracer)
    yield from _pinned_alone(store, ledger, now_unix_s, tracer)


def _sound_unit(claim: Claim, tracer: Tracer) -> list[Unit]:
    """None if the claim is damaged."""
    unit = unit_of_claim(claim)
    if unit.name == claim.unit:
        return [unit]
    tracer("claim.damaged", unit=unit_text(claim.unit))
    return []


def _pinned_alone(
    store: BlockStore, ledger: Ledger, now_unix_s: float, tracer: Tracer
) -> Iterator[Unit]:
    """Units of pinned roots that no sound claim keeps: few, pinned by hand."""
    passed: set[tuple[bytes, bool]] = set()
    for root in pinned_roots(ledger, tracer):
        for unit in _units_of(store, ledger, root, tracer):
            kind = unit.name, unit.spine
            if kind not in passed and not _claimed(ledger.claims, unit, now_unix_s):
                passed.add(kind)
                yield unit


def _claimed(claims: Claims, unit: Unit, now_unix_s: float) -> bool:
    """Whether a sound claim keeps this unit: subtrees and a spine can have one name."""
    kept = _claimed_units(claims, unit.name, now_unix_s, no_trace)
    return any(each.spine == unit.spine for each in kept)


class Named(NamedTuple):
    """The name of what is kept, whether or not a claim keeps it still; ``pinned`` is a root that
    is pinned here and has a unit of that name which no claim keeps.  ``first`` are those of this
    node's own owner, and what is pinned here."""

    name: bytes
    pinned: Cid | None = None
    first: bool = True


def names_in_turn(
    store: BlockStore, ledger: Ledger, now_unix_s: float, tracer: Tracer
) -> Iterator[Named]:
    """What this node's own owner claims, what is pinned here, then what strangers claim, one of
    each origin at a time; each name once."""
    claims = ledger.claims
    passed: set[bytes] = set()  # of those that are pinned: few, by hand
    for root in pinned_roots(ledger, tracer):
        for unit in _units_of(store, ledger, root, tracer):
            claimed = _claimed_units(claims, unit.name, now_unix_s, tracer)
            alone = all(each.spine != unit.spine for each in claimed)
            if unit.name not in passed and (alone or not claims.owns(unit.name)):
                passed.add(unit.name)
                yield Named(unit.name, root if alone else None)
    yield from (Named(name) for name in claims.own_units() if name not in passed)
    others = (name for name in claims.foreign_units() if name not in passed)
    yield from (Named(name, first=False) for name in others)


def units_named(
    store: BlockStore, ledger: Ledger, named: Named, now_unix_s: float, tracer: Tracer
) -> list[Unit]:
    """What is kept under a name: none, one or two."""
    units = _claimed_units(ledger.claims, named.name, now_unix_s, tracer)
    if named.pinned is None or not ledger.pins.pinned(named.pinned):
        return units
    spines = {unit.spine for unit in units}
    of_root = _units_of(store, ledger, named.pinned, tracer)
    more = [each for each in of_root if each.name == named.name and each.spine not in spines]
    return [*units, *more[:1]]


def units_under(
    store: BlockStore, ledger: Ledger, name: bytes, now_unix_s: float, tracer: Tracer
) -> list[Unit]:
    """Those of one name that are kept: none, one or two."""
    if units := _claimed_units(ledger.claims, name, now_unix_s, tracer):
        return units
    for root in pinned_roots(ledger, tracer):
        found = [each for each in _units_of(store, ledger, root, tracer) if each.name == name]
        if found:
            return found
    return []


def _claimed_units(claims: Claims, name: bytes, now_unix_s: float, tracer: Tracer) -> list[Unit]:
    kept = claims.kept(name, now_unix_s)
    return [unit for claim in kept for unit in _sound_unit(claim, tracer)]


def _units_of(store: BlockStore, ledger: Ledger, root: Cid, tracer: Tracer) -> list[Unit]:
    """From the ledger; by walking the root, once, where an earlier version pinned it."""
    units = ledger.roots.units(root)
    if units:
        return units
    try:
        units = local_units(store, root)
    except (BlockMissing, IntegrityFailure) as error:
        tracer("pin.damaged", root=str(root), error=str(error))
        return []
    ledger.roots.remember(root, units)
    return units


def pinned_roots(ledger: Ledger, tracer: Tracer) -> list[Cid]:
    """None if a pin is damaged, and then the trace says so."""
    try:
        return [pin.cid for pin in ledger.pins.list()]
    except IntegrityFailure as error:
        tracer("pins.damaged", error=str(error))
        return []


def unit_of_claim(claim: Claim) -> Unit:
    """The unit a claim names; it has the name it had, unless the claim rotted."""
    roots = tuple(Cid(raw) for raw in claim.unit_roots)
    return Unit.named(claim.unit, roots, claim.size_bytes, spine=claim.spine)


def settle_pending(claims: Claims, store: BlockStore) -> None:
    """What a crash interrupted between the claim and its blocks: those that are all here are kept
    for the claim, of others nothing is left.  In a worker, before anything else is received.

    They are few: a receive has one while a worker commits it.  Only what is all here is walked to
    its end, since of the others not even the roots are."""
    for claim in claims.pending():
        unit = unit_of_claim(claim)
        try:
            walk_local(store, unit, Leaves.PRESENT)
        except (BlockMissing, IntegrityFailure):
            claims.drop_pending(claim)
        else:
            claims.put(claim)
