"""Where a DAG is cut into units: decided by what links claim, so by the DAG alone.

A subtree that claims at most UNIT_SIZE_MAX_BYTES of content lies inside one unit.  Above that
its top block joins the spine, and its children are cut in order into runs of at most that size.
``cut_node`` is the whole rule; everything that needs to know a block's unit goes through it.

The spine is cut the same way, and also by claims alone, so that reaching one block needs only
the blocks above it: a spine subtree that claims at most SPINE_SPAN_MAX_BYTES lies inside one
spine unit, which by the estimate in params is then at most SPINE_UNIT_MAX_BYTES long.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import msgspec

from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.unixfs import DagNode, read_node
from dhtstore.content.dag.walk import Want
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    DAG_DEPTH_MAX,
    ROOT_UNITS_MAX,
    SPINE_BLOCKS_MAX,
    SPINE_LINKS_AGAIN_MAX,
    SPINE_SPAN_MAX_BYTES,
    UNIT_ROOTS_MAX_BYTES,
    UNIT_SIZE_MAX_BYTES,
)

_CID_OVERHEAD_BYTES = 4  # what an offer needs besides the CID; part of the rule, so never changed


class Place(msgspec.Struct, frozen=True):
    """Which unit a block is in.

    ``top`` marks a root whose block has not told yet whether its unit is a spine.
    """

    unit: Unit
    top: bool = False

    @classmethod
    def of_root(cls, root: Cid) -> Place:
        """The root of a whole DAG.  Its block is in the unit named by it, whatever its size."""
        return cls(Unit.of((root,), 0), top=True)


def settle(node: DagNode, place: Place) -> Place:
    """``place`` once the block is known: a top becomes a whole unit or the head of the spine."""
    if not place.top:
        return place
    return Place(whole(place.unit.roots[0], node.size_bytes))


def whole(root: Cid, claimed_bytes: int) -> Unit:
    """The unit that is named by the root of a DAG, whose block claims so much content: all of it,
    or the head of the spine."""
    spine = claimed_bytes > UNIT_SIZE_MAX_BYTES
    return Unit.head(root) if spine else Unit.of((root,), claimed_bytes)


def cut_node(node: DagNode, place: Place) -> list[Place]:
    """The place of each child of ``node``, which itself is at ``place``."""
    place = settle(node, place)
    places = [place] * len(node.links)
    if not place.unit.spine:
        return places
    content, spines = _Run(UNIT_SIZE_MAX_BYTES), _Run(SPINE_SPAN_MAX_BYTES, spine=True)
    stay_above_bytes = _span(node)
    for i, (link, size) in enumerate(zip(node.links, node.sizes, strict=True)):
        if size <= UNIT_SIZE_MAX_BYTES:
            content.add(i, link.cid, size, places)
            continue
        content.end(places)
        if size <= stay_above_bytes:
            spines.add(i, link.cid, size, places)
        else:
            spines.end(places)
    content.end(places)
    spines.end(places)
    return places


def _span(node: DagNode) -> int:
    """Spine children that claim more than this stay in the unit of ``node``."""
    return SPINE_SPAN_MAX_BYTES if node.size_bytes > SPINE_SPAN_MAX_BYTES else 0


class _Run:
    """Siblings gathered into one unit; ``end`` makes it and notes it in ``places``."""

    def __init__(self, size_max_bytes: int, *, spine: bool = False) -> None:
        self._size_max_bytes, self._spine = size_max_bytes, spine
        self._roots: list[Cid] = []
        self._indices: list[int] = []
        self._size_bytes = self._roots_bytes = 0

    def add(self, index: int, cid: Cid, size_bytes: int, places: list[Place]) -> None:
        roots_bytes = len(cid.raw) + _CID_OVERHEAD_BYTES
        if (
            self._size_bytes + size_bytes > self._size_max_bytes
            or self._roots_bytes + roots_bytes > UNIT_ROOTS_MAX_BYTES
        ):
            self.end(places)
        self._roots.append(cid)
        self._indices.append(index)
        self._size_bytes += size_bytes
        self._roots_bytes += roots_bytes

    def end(self, places: list[Place]) -> None:
        if not self._roots:
            return
        size_bytes = 0 if self._spine else self._size_bytes
        place = Place(Unit.of(tuple(self._roots), size_bytes, spine=self._spine))
        for index in self._indices:
            places[index] = place
        self._roots, self._indices = [], []
        self._size_bytes = self._roots_bytes = 0


class Lineage(NamedTuple):
    """A unit, and the blocks from the root of its DAG down to the one whose links are its roots:
    what proves that it belongs to that root.  None for the unit that is named by the root."""

    unit: Unit
    path: tuple[Cid, ...]


def unit_wants(root: Cid) -> Generator[Want, DagNode, list[Unit]]:
    """The units alone of what ``lineage_wants`` finds."""
    found = yield from lineage_wants(root)
    return [each.unit for each in found]


def lineage_wants(root: Cid) -> Generator[Want, DagNode, list[Lineage]]:
    """All units of the DAG below ``root``, in DAG order, each once; the first is named by root.

    Yields wants for the blocks it needs (the root and the spine) and is sent what ``read_node``
    reads of their verified bytes.  Raises MalformedDag.
    """
    found: dict[tuple[bytes, bool], Lineage] = {}
    seen: set[tuple[bytes, bytes]] = set()
    opened, again = set[bytes](), 0
    above: tuple[Cid, ...] = ()
    stack, sequence = [(root, Place.of_root(root), above)], count()
    while stack:
        cid, place, above = stack.pop()
        inlined = cid.inlined
        if inlined is None:
            node = yield Want(cid, place.unit, BLOCK_SIZE_MAX_BYTES, next(sequence))
        else:
            node = read_node(cid, inlined)
        again += len(node.links) if cid.raw in opened else 0
        opened.add(cid.raw)
        if again > SPINE_LINKS_AGAIN_MAX:
            raise MalformedDag(f"{root} leads to the same blocks too often to be cut into units")
        place = settle(node, place)
        places = cut_node(node, place)
        path = (*above, cid)
        for unit in _distinct(place, places):
            named_by_root = not above and unit is place.unit
            lineage = Lineage(unit, () if named_by_root else path)
            found.setdefault((unit.name, unit.spine), lineage)
        if len(found) > ROOT_UNITS_MAX:
            raise MalformedDag(f"{root} would be cut into more than {ROOT_UNITS_MAX:,} units")
        for link, child in reversed(list(zip(node.links, places, strict=True))):
            if child.unit.spine and _is_new(seen, link, child):
                stack.append((link.cid, child, path))
        if len(above) > DAG_DEPTH_MAX or len(seen) > SPINE_BLOCKS_MAX:
            raise MalformedDag(f"{root} is too deep or too wide to be cut into units")
    return list(found.values())


def _distinct(first: Place, places: Sequence[Place]) -> Iterator[Unit]:
    """The units of neighbouring places, without repeating one for each sibling."""
    last = first
    yield first.unit
    for place in places:
        if place is not last:
            yield place.unit
        last = place


def _is_new(seen: set[tuple[bytes, bytes]], link: DagLink, place: Place) -> bool:
    """The same block in the same unit has the same spine below it: once is enough."""
    key = (link.cid.raw, place.unit.name)
    if key in seen:
        return False
    seen.add(key)
    return True
