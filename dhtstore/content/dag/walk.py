"""What walking a DAG means to whoever fetches the blocks: wants out, verified blocks in, pieces
of output out.  Pure; the walks themselves are in file_walk, tree_walk, list_walk and unit_walk.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from dhtstore.content.codec.unixfs import DagNode, Kind
from dhtstore.errors import SymlinkAlone, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.names import name_of, quoted
from dhtstore.model.unit import Unit

EntryType = Literal["file", "directory", "symlink"]
TYPES: Final[dict[Kind, EntryType]] = {
    Kind.RAW: "file",
    Kind.FILE: "file",
    Kind.DIRECTORY: "directory",
    Kind.SHARD: "directory",
    Kind.SYMLINK: "symlink",
}
_HINTS: Final[dict[EntryType, str]] = {
    "file": "`dhtstore cat` prints a file, `dhtstore get` fetches it",
    "directory": "`dhtstore ls` lists a directory, `dhtstore get` fetches it (-o -: as a tar)",
    "symlink": "get what it leads to, or the directory that it is in",
}


def not_a(wanted: EntryType, cid: Cid, kind: Kind) -> UsageError:
    """What to say of content of another kind than a walk is for."""
    found = TYPES[kind]
    return UsageError(f"{cid} is a {found}, not a {wanted}").hinted(_HINTS[found])


def symlink_alone(cid: Cid, node: DagNode) -> SymlinkAlone:
    """What to say of a symbolic link that is no entry of what is walked."""
    target = name_of(bytes(node.content))
    return SymlinkAlone(f"{cid} is a symbolic link to {quoted(target[:80])}")


@dataclass(frozen=True, slots=True)
class Want:
    """A block to fetch.  ``unit`` tells where to look: its key's providers hold the block.

    ``size_hint_bytes`` is what the parent claims, for windows; ``sequence`` counts wants in DAG
    order and keys what the walk remembers of this one.
    """

    cid: Cid
    unit: Unit
    size_hint_bytes: int
    sequence: int


Mtime = tuple[int, int]  # seconds and nanoseconds
Order = tuple[int, ...]  # a place in DAG order


class Placed(NamedTuple):
    """Where output stands in a walk that says so: at ``order``; all that stands before
    ``settled_before`` has been yielded with it or earlier, all there is if that is None."""

    order: Order
    settled_before: Order | None


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of the output; comes before anything in it.  () is the root."""

    path: tuple[str, ...]
    mode: int | None = None
    mtime: Mtime | None = None
    placed: Placed | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file of the output and its final length; comes before its pieces."""

    path: tuple[str, ...]
    size_bytes: int
    mode: int | None = None
    mtime: Mtime | None = None
    placed: Placed | None = None


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link that stays inside the output tree."""

    path: tuple[str, ...]
    target: str
    mtime: Mtime | None = None
    placed: Placed | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the file at ``path`` (() for a file that is itself the root)."""

    path: tuple[str, ...]
    offset: int
    data: bytes | memoryview
    placed: Placed | None = None


@dataclass(frozen=True, slots=True)
class WholeBlock(Piece):
    """A block as it is, of a walk for which blocks are ``read_whole``; ``offset`` counts them."""

    cid: Cid = field(kw_only=True)


class Listed(msgspec.Struct, frozen=True, gc=False):
    """One entry of a directory that is listed.  ``size_bytes`` is the content of a file, the length
    of a symbolic link's target, None of a directory: it would take a walk."""

    name: str
    cid: Cid
    type: EntryType
    size_bytes: int | None

    @property
    def path(self) -> tuple[str, ...]:
        return (self.name,)


Output = Directory | File | Symlink | Piece | Listed


def placed_of(output: Output) -> Placed:
    """Where it stands; at the beginning, with nothing settled, where no walk said so."""
    placed = None if isinstance(output, Listed) else output.placed
    return placed or Placed((), ())


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where the bytes of a raw block of a file belong, known before the block is fetched."""

    path: tuple[str, ...]
    offset: int
    size_bytes: int


class Walk(Protocol):
    """One pass over a DAG in order, with bounded memory whatever the DAG: a block may be wanted
    again when what it links to did not fit."""

    opening: list[Output]  # what is known before any block: a root whose CID is its content

    def next(self, limit: int) -> list[Want]:
        """At most ``limit`` further wants in DAG order.  Empty when everything known is handed
        out: more may come after ``accept``."""

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        """Take what ``read_node`` reads of a block that was verified against ``want.cid``, each
        want once, any order.  Where ``weight`` is much it is called in a worker thread, while
        nobody else uses the walk.

        Returns the output it yields.  Raises MalformedDag."""

    def weight(self, node: DagNode) -> int:
        """What ``accept`` would cost, in links."""

    def leaf(self, want: Want) -> Leaf | None:
        """Where the bytes of a want belong; None unless it is a raw block inside a file."""

    def unit_ahead(self, known: Container[bytes]) -> Unit | None:
        """The first unit of those that blocks are known of and that are not ``known`` by name."""

    @property
    def done(self) -> bool:
        """Every want handed out has been accepted and none is left."""
