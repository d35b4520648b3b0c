"""Walks over blocks that are all at hand: no network, no output."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from enum import Enum, auto
from typing import Final, Protocol

from dhtstore.content.codec.unixfs import read_node
from dhtstore.content.dag.dag_walk import DagWalk
from dhtstore.content.dag.seen import Seen
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.units import Lineage, lineage_wants
from dhtstore.content.dag.walk import Want
from dhtstore.errors import (
    BlockDamaged,
    BlockMissing,
    DhtstoreError,
    IntegrityFailure,
    MalformedDag,
)
from dhtstore.model.cid import RAW, Cid
from dhtstore.model.unit import Unit
from dhtstore.params import STEP_LEAF_BYTES

_WANTS_AT_ONCE: Final = 256


class BlocksHere(Protocol):
    """As much of a block store as a walk needs."""

    def get(self, cid: Cid) -> bytes:
        """The block, verified; raises BlockMissing or BlockDamaged."""

    def sizes(self, cids: Sequence[Cid]) -> list[int | None]:
        """The length of each block in bytes, None of one that is not here."""


class Leaves(Enum):
    """How closely a walk looks at leaves, below which nothing lies."""

    NAMED = auto()  # not at all: their parents' word is enough
    PRESENT = auto()  # they are here, of the length their parents claim, if they have any
    READ = auto()  # they are read and verified, as all other blocks are


def local_units(blocks: BlocksHere, root: Cid) -> list[Unit]:
    """Cut a DAG whose blocks are here; raises BlockMissing, BlockDamaged, MalformedDag."""
    return [each.unit for each in local_lineages(blocks, root)]


def local_lineages(blocks: BlocksHere, root: Cid) -> list[Lineage]:
    """The same, with what proves of each unit that it belongs to ``root``."""
    steps = cutting(blocks, root)
    try:
        while True:
            next(steps)
    except StopIteration as finished:
        found: list[Lineage] = finished.value
        return found


def cutting(blocks: BlocksHere, root: Cid) -> Generator[int, None, list[Lineage]]:
    """The same in steps: yields what each cost, in bytes."""
    asking = lineage_wants(root)
    try:
        want = next(asking)
        while True:
            block = blocks.get(want.cid)
            yield STEP_LEAF_BYTES + len(block)
            want = asking.send(read_node(want.cid, block))
    except StopIteration as finished:
        found: list[Lineage] = finished.value
        return found


def local_blocks(blocks: BlocksHere, root: Cid, leaves: Leaves) -> Iterator[Cid]:
    """Every block below ``root``, unit by unit; raises BlockMissing, BlockDamaged, MalformedDag."""
    for unit in local_units(blocks, root):
        yield from unit_blocks(blocks, unit, leaves)


def unit_blocks(blocks: BlocksHere, unit: Unit, leaves: Leaves) -> Iterator[Cid]:
    """Every block of a unit; raises as ``local_blocks``."""
    return _walk(blocks, UnitWalk(unit), leaves)


def blocks_met(
    blocks: BlocksHere,
    walk: DagWalk,
    lost: Callable[[Cid, DhtstoreError], None],
    known: Seen | None = None,
) -> Iterator[Cid]:
    """Every block that ``walk`` names, as far as what is here tells: ``lost`` is told each that had
    to be read for what lies below it and could not be, which then is not met.  Raw blocks are not
    looked at, nor what lies below a block whose CID is in ``known``."""
    while wants := walk.next(_WANTS_AT_ONCE):
        for want in wants:
            if want.cid.codec == RAW or (known is not None and want.cid.raw in known):
                walk.pass_over(want)
            else:
                _open_if_here(blocks, walk, want, lost)
            yield want.cid


def _open_if_here(
    blocks: BlocksHere, walk: DagWalk, want: Want, lost: Callable[[Cid, DhtstoreError], None]
) -> None:
    try:
        node = read_node(want.cid, blocks.get(want.cid))
    except (BlockMissing, IntegrityFailure) as error:
        walk.pass_over(want)
        lost(want.cid, error)
        return
    try:
        walk.accept(want, node)
    except MalformedDag as error:
        lost(want.cid, error)


def lacking_blocks(blocks: BlocksHere, unit: Unit) -> Iterator[Cid]:
    """Those of a unit that are not here whole, leaves as far as PRESENT says; what lies below one
    of them shows when it is here.  Raises MalformedDag."""
    walk = UnitWalk(unit)
    while wants := walk.next(_WANTS_AT_ONCE):
        present = _known_sizes(blocks, walk, wants, Leaves.PRESENT)
        for want, size_bytes in zip(wants, present, strict=True):
            if size_bytes is not None:
                walk.skip(want, size_bytes)
                continue
            try:
                walk.accept(want, read_node(want.cid, blocks.get(want.cid)))
            except (BlockMissing, BlockDamaged):
                walk.pass_over(want)
                yield want.cid


def walk_local(blocks: BlocksHere, unit: Unit, leaves: Leaves) -> UnitWalk:
    """A walk of the unit that has come to its end, for what it counted; raises BlockMissing,
    BlockDamaged, MalformedDag."""
    walk = UnitWalk(unit)
    for _ in _walk(blocks, walk, leaves):
        pass
    return walk


def _walk(blocks: BlocksHere, walk: UnitWalk, leaves: Leaves) -> Iterator[Cid]:
    while wants := walk.next(_WANTS_AT_ONCE):
        sizes = _known_sizes(blocks, walk, wants, leaves)
        for want, size_bytes in zip(wants, sizes, strict=True):
            if size_bytes is not None:
                walk.skip(want, size_bytes)
            else:
                walk.accept(want, read_node(want.cid, blocks.get(want.cid)))
            yield want.cid


def _known_sizes(
    blocks: BlocksHere, walk: UnitWalk, wants: Sequence[Want], leaves: Leaves
) -> list[int | None]:
    """The lengths of blocks that need not be read: they are leaves, as good as they must be.  None
    of all others."""
    if leaves is Leaves.READ:
        return [None] * len(wants)
    claims = [walk.leaf(want) for want in wants]
    if leaves is Leaves.NAMED:
        return [None if leaf is None else leaf.size_bytes for leaf in claims]
    sizes = blocks.sizes([want.cid for want in wants])
    return [
        size_bytes
        if walk.raw_root(want) or (leaf is not None and size_bytes == leaf.size_bytes)
        else None
        for want, leaf, size_bytes in zip(wants, claims, sizes, strict=True)
    ]
