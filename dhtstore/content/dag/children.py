"""From a block that arrived to what lies below it, with every claim about it checked.

Shared by all walks and by path resolution, so that they agree on what is valid and on units.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum

import msgspec

from dhtstore.content.codec.hamt import fanout_bits, name_hash, prefix_chars, shard_prefixes, slot
from dhtstore.content.codec.unixfs import DagNode, Kind, read_node
from dhtstore.content.dag.units import Place, cut_node
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import RAW, Cid
from dhtstore.model.names import quoted
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, DAG_DEPTH_MAX, KIB

_INTERIOR_HINT_BYTES = 64 * KIB  # 1,024 links with their block sizes


class Role(IntEnum):
    """What the parent says a block is."""

    ROOT = 0  # nothing is said
    PART = 1  # of a file
    ENTRY = 2  # of a directory
    SHARD = 3  # of a directory


class Slot(msgspec.Struct, frozen=True, gc=False):
    """Where in a sharded directory a shard is: the ``level`` and the hash bits that led there.

    ``level`` is -1 when it is not known: a shard reached as a unit's root.
    """

    fanout: int
    level: int
    bits: int


class Task(msgspec.Struct, frozen=True, gc=False):
    """A block to read and all that is known of it.

    ``claim_bytes`` is the block size (PART) or Tsize (ENTRY, SHARD) its parent claims; ``index``
    which child of its parent it is, -1 if it has none; ``offset`` its place in the file.  What
    grows with depth, ``above`` (the order of the parent) and ``directory`` (the path to that whose
    entry it is), it shares with its siblings: walks hold tens of thousands.
    """

    cid: Cid
    role: Role
    claim_bytes: int
    place: Place
    above: tuple[int, ...] = ()
    index: int = -1
    directory: tuple[str, ...] = ()
    name: str = ""
    offset: int = 0
    slot: Slot | None = None

    @property
    def order(self) -> tuple[int, ...]:
        """Its position in DAG order, whose length is its depth."""
        return self.above if self.index < 0 else (*self.above, self.index)

    @property
    def path(self) -> tuple[str, ...]:
        return (*self.directory, self.name) if self.name else self.directory

    @property
    def is_leaf(self) -> bool:
        """A raw block: nothing lies below it."""
        return self.cid.codec == RAW

    @property
    def size_hint_bytes(self) -> int:
        """How large the block itself may be, as far as the claim tells."""
        if 0 < self.claim_bytes <= BLOCK_SIZE_MAX_BYTES:
            return self.claim_bytes
        return BLOCK_SIZE_MAX_BYTES if self.is_leaf else _INTERIOR_HINT_BYTES


def check_claims(task: Task, node: DagNode) -> None:
    """Raise MalformedDag if the block is not what its parent said it is."""
    if task.role is Role.PART:
        if not node.is_file:
            raise MalformedDag(f"{task.cid} stands in a file but is a {node.kind.name.lower()}")
        if node.size_bytes != task.claim_bytes:
            raise MalformedDag(
                f"{task.cid} has {node.size_bytes} bytes, its parent claims {task.claim_bytes}"
            )
    elif task.role is Role.SHARD:
        known = task.slot
        if node.kind is not Kind.SHARD or (known and known.fanout != node.fanout):
            raise MalformedDag(f"{task.cid} is not a shard like the directory above it")
        if not node.links:  # a name has one slot, so only empty shards could stand in many places
            raise MalformedDag(f"{task.cid} is an empty shard inside a directory")
    if task.claim_bytes and not node.is_file and task.role is not Role.ROOT:
        _check_tsize(task, node)


def _check_tsize(task: Task, node: DagNode) -> None:
    """A directory claims at least what its links claim: without this, a few blocks that link to
    each other many times are an endless tree."""
    if task.claim_bytes < max(node.size_bytes, len(node.links)):
        raise MalformedDag(
            f"the directory {task.cid} links to {node.size_bytes} bytes, "
            f"its parent claims {task.claim_bytes}"
        )


def children(task: Task, node: DagNode) -> Iterator[Task]:
    """What lies below ``node``, in order.  Raises MalformedDag."""
    if not node.links:
        return iter(())
    if len(task.order) >= DAG_DEPTH_MAX:
        raise MalformedDag(f"a DAG of more than {DAG_DEPTH_MAX} levels")
    places = cut_node(node, task.place)
    if node.kind is Kind.SHARD:
        return _shard_children(task, node, places)
    if node.kind is Kind.DIRECTORY:
        return _entries(task, node, places)
    return _parts(task, node, places)


def spread(tasks: Iterable[Task]) -> Iterator[tuple[Task, DagNode | None]]:
    """Each task, and behind one whose CID is its content that node and all below it that is known
    by that.  Raises MalformedDag."""
    for task in tasks:
        inlined = task.cid.inlined
        if inlined is None:
            yield task, None
        else:
            node = read_node(task.cid, inlined)
            yield task, node
            yield from spread(children(task, node))


def _parts(task: Task, node: DagNode, places: list[Place]) -> Iterator[Task]:
    order, path, offset = task.order, task.path, task.offset + len(node.content)
    for i, (link, size, place) in enumerate(zip(node.links, node.sizes, places, strict=True)):
        yield Task(link.cid, Role.PART, size, place, order, i, path, "", offset)
        offset += size


def _entries(task: Task, node: DagNode, places: list[Place]) -> Iterator[Task]:
    order, path = task.order, task.path
    for i, (link, place) in enumerate(zip(node.links, places, strict=True)):
        yield Task(link.cid, Role.ENTRY, link.tsize_bytes, place, order, i, path, link.name)


def _shard_children(task: Task, node: DagNode, places: list[Place]) -> Iterator[Task]:
    here = task.slot or Slot(node.fanout, 0, 0)
    order, path = task.order, task.path
    chars, width = prefix_chars(node.fanout), fanout_bits(node.fanout)
    indices = shard_prefixes(node.links, node.fanout)
    for i, (link, place, index) in enumerate(zip(node.links, places, indices, strict=True)):
        name, claim_bytes = link.name[chars:], link.tsize_bytes
        bits = here.bits << width | index
        if not name:
            level = here.level + 1 if here.level >= 0 else -1
            below = Slot(node.fanout, level, bits)
            yield Task(link.cid, Role.SHARD, claim_bytes, place, order, i, path, slot=below)
            continue
        if here.level >= 0:
            _check_slot(name, here, bits)
        yield Task(link.cid, Role.ENTRY, claim_bytes, place, order, i, path, name)


def _check_slot(name: str, here: Slot, bits: int) -> None:
    """Also what makes a name unique in a sharded directory: it has one slot."""
    slot(0, here.level, here.fanout)  # refuses a level that the hash does not reach
    width = fanout_bits(here.fanout) * (here.level + 1)
    if name_hash(name) >> 64 - width != bits:
        raise MalformedDag(f"a sharded directory with {quoted(name[:80])} in the wrong slot")
