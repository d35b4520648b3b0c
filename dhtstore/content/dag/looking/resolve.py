"""Find and describe what is below a root.

Each function is a generator that yields wants and is sent what ``read_node`` reads of the verified
bytes of each: the caller decides where blocks come from, and in which thread they are read.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from dhtstore.content.codec.hamt import name_hash, prefix_chars, slot
from dhtstore.content.codec.unixfs import DagNode, Kind, read_node
from dhtstore.content.dag.children import Role, Task, check_claims, children
from dhtstore.content.dag.dag_walk import root_task
from dhtstore.content.dag.units import Place
from dhtstore.content.dag.walk import TYPES, EntryType, Want
from dhtstore.errors import NoSuchPath
from dhtstore.model.cid import Cid
from dhtstore.model.names import quoted

_CLAIMED_MAX_BYTES: Final = 2**63 - 1  # links claim what they like; answers carry 63 bits


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a path leads to.  A walk of it is started with both fields."""

    cid: Cid
    place: Place


@dataclass(frozen=True, slots=True)
class Stat:
    """One node.  ``size_bytes`` is the content of a file, the length of a symbolic link's target,
    what the links of a directory claim; ``tsize_bytes`` what all of it claims, blocks included."""

    cid: Cid
    type: EntryType
    size_bytes: int
    block_bytes: int
    links: int
    tsize_bytes: int
    mode: int | None
    mtime: tuple[int, int] | None


def resolve(
    root: Cid, names: Sequence[str], *, place: Place | None = None
) -> Generator[Want, DagNode, Resolved]:
    """Follow ``names`` down from ``root``.  Raises NoSuchPath naming what is missing, MalformedDag.

    Without names nothing is fetched.
    """
    reader, task = _NodeReader(), root_task(root, place)
    for depth, name in enumerate(names):
        found = yield from _enter(reader, task, name)
        if found is None:
            missing = "/".join(names[: depth + 1])
            raise NoSuchPath(f"there is no {quoted(missing)} in {root}")
        task = found
    return Resolved(task.cid, task.place)


def stat(root: Cid, *, place: Place | None = None) -> Generator[Want, DagNode, Stat]:
    """One node: fetches its block only.  Raises MalformedDag."""
    node = yield from _NodeReader().read(root_task(root, place))
    return Stat(
        root,
        TYPES[node.kind],
        len(node.content) if node.kind is Kind.SYMLINK else node.size_bytes,
        node.block_bytes,
        len(node.links),
        _claimed_bytes(node),
        node.mode,
        node.mtime,
    )


class _NodeReader:
    """Reads one task's node at a time, numbering its wants."""

    def __init__(self) -> None:
        self._sequence = count()

    def read(self, task: Task) -> Generator[Want, DagNode, DagNode]:
        inlined = task.cid.inlined
        if inlined is None:
            unit, hint = task.place.unit, task.size_hint_bytes
            node = yield Want(task.cid, unit, hint, next(self._sequence))
        else:
            node = read_node(task.cid, inlined)
        check_claims(task, node)
        return node


def _enter(reader: _NodeReader, task: Task, name: str) -> Generator[Want, DagNode, Task | None]:
    """The entry ``name`` of the directory ``task``, through its shards."""
    while True:
        node = yield from reader.read(task)
        if node.kind not in (Kind.DIRECTORY, Kind.SHARD):
            return None
        found = _match(task, node, name)
        if found is None or found.role is Role.ENTRY:
            return found
        task = found


def _match(task: Task, node: DagNode, name: str) -> Task | None:
    """The child that is the entry ``name``, or the shard it must be in."""
    if node.kind is Kind.DIRECTORY:
        return next((child for child in children(task, node) if child.name == name), None)
    level = task.slot.level if task.slot else 0
    index = slot(name_hash(name), level, node.fanout)
    prefix = f"{index:0{prefix_chars(node.fanout)}X}"
    for link, child in zip(node.links, children(task, node), strict=True):
        if link.name in (prefix, prefix + name):
            return child
    return None


def _claimed_bytes(node: DagNode) -> int:
    """What a node and all below it are said to take, as far as that can be."""
    links = sum(link.tsize_bytes for link in node.links)
    return min(node.block_bytes + links, _CLAIMED_MAX_BYTES)
