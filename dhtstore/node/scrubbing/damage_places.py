"""What damaged blocks belong to: the puts and pins of this node, with the path below the root as
far as interior blocks here tell it, and the roots that other owners had stored here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Final, Literal

from dhtstore.content.codec.unixfs import DagNode, read_node
from dhtstore.content.dag.tree_walk import paths_of
from dhtstore.errors import DhtstoreError
from dhtstore.model.cid import RAW, Cid
from dhtstore.model.unit import Unit
from dhtstore.node.context import Ledger
from dhtstore.operations.keeping import DamagePlace
from dhtstore.store.blocks.contract import BlockStore

_PLACES_MAX: Final = 1000
_ROOTS_MAX: Final = 1000
_CLAIMS_READ_MAX: Final = 64  # of a unit

Keeper = Literal["put", "pin", "owner"]


@dataclass(frozen=True, slots=True)
class DamagedPlace:
    """Where a damaged block belongs.  ``kept_by`` is "put" for a put of this node and "pin" for a
    pin, called ``name``; or "owner" for another owner, whose key is ``owner``.  ``path`` is of the
    file or directory below ``root``, which has the block; () for that root itself, and where
    another owner's is meant."""

    cid: Cid
    root: Cid
    kept_by: Keeper
    name: str
    path: tuple[str, ...]
    owner: bytes


def damage_places(
    store: BlockStore, ledger: Ledger, sought: set[bytes], lacking: Sequence[Unit]
) -> list[DamagedPlace]:
    """The first _PLACES_MAX of the blocks with these multihashes, found in the ``lacking`` units;
    for worker threads."""
    if not sought:
        return []
    own: dict[bytes, Iterator[DamagedPlace]] = {}
    for root, kept_by, name in islice(_own_roots(ledger, lacking), _ROOTS_MAX):
        own.setdefault(root.raw, _in_tree(store, sought, root, kept_by, name))
    owned = _of_owners(store, ledger, sought, lacking, set(own))
    return list(islice(chain(*own.values(), owned), _PLACES_MAX))


def told_place(place: DamagedPlace) -> DamagePlace:
    """CIDs and path as text, and what mends it."""
    return DamagePlace(
        block=str(place.cid),
        root=str(place.root),
        kept_by=place.kept_by,
        name=place.name,
        path="/".join(place.path),
        owner=place.owner.hex() or None,
        mend=f"dhtstore pin add {place.root}",
    )


def _own_roots(ledger: Ledger, lacking: Sequence[Unit]) -> Iterator[tuple[Cid, Keeper, str]]:
    names = {unit.name for unit in lacking}
    for pin in ledger.pins.list():
        if not names.isdisjoint(unit.name for unit in ledger.roots.units(pin.cid)):
            yield pin.cid, "put" if pin.kind == "put" else "pin", pin.name


def _in_tree(
    store: BlockStore, sought: set[bytes], root: Cid, kept_by: Keeper, name: str
) -> Iterator[DamagedPlace]:
    """As far as the tree can be walked here."""
    try:
        for cid, path in paths_of(
            root, lambda each: each.multihash in sought, partial(_read, store)
        ):
            yield DamagedPlace(cid, root, kept_by, name, path, b"")
    except DhtstoreError:
        return


def _of_owners(
    store: BlockStore, ledger: Ledger, sought: set[bytes], lacking: Sequence[Unit], own: set[bytes]
) -> Iterator[DamagedPlace]:
    """Of other owners' roots a node may hold some units only, and the names are not its own."""
    for unit in lacking:
        found: list[Cid] | None = None
        for claim in islice(ledger.claims.for_unit(unit.name), _CLAIMS_READ_MAX):
            if claim.policy.root in own:
                continue
            if found is None:
                found = list(_below(store, unit.roots, sought))
            root, owner = Cid(claim.policy.root), claim.policy.owner
            yield from (DamagedPlace(cid, root, "owner", "", (), owner) for cid in found)


def _below(store: BlockStore, roots: Sequence[Cid], sought: set[bytes]) -> Iterator[Cid]:
    """Each block once, and so no longer than the blocks here are many."""
    waiting, seen = list(roots), {root.multihash for root in roots}
    while waiting:
        cid = waiting.pop()
        if cid.multihash in sought:
            yield cid
        node = None if cid.codec == RAW else _read(store, cid)
        for link in node.links if node is not None else ():
            if link.cid.multihash not in seen:
                seen.add(link.cid.multihash)
                waiting.append(link.cid)


def _read(store: BlockStore, cid: Cid) -> DagNode | None:
    """None for what is not here whole."""
    try:
        return read_node(cid, store.get(cid) if cid.inlined is None else cid.inlined)
    except DhtstoreError:
        return None
