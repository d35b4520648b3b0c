"""Operations on content: put, get, read, list, describe, find."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from dhtstore.operations.explaining.causes import Cause
from dhtstore.operations.explaining.report import NO_REPORT, AddressTry, FetchReport
from dhtstore.operations.keeping import SignedReceipt
from dhtstore.operations.moment import Moment
from dhtstore.operations.operation import Operation
from dhtstore.params import PATTERNS_MAX, REPLICAS_MAX, TTL_MAX_S, WRAPPED_MAX

SourceKind = Literal["file", "directory", "stream", "archive"]
Chunker = Literal["fixed", "buzhash"]  # how files are cut into blocks
ContentType = Literal["file", "directory", "symlink"]
StreamType = Literal["file", "directory"]


class HolderReport(msgspec.Struct, frozen=True):
    """What became of one unit at one node that was asked, or that put it.

    ``stage`` is how far it came: "found" (it was not asked), "unreached", "refused", "reserved",
    "failed" (after it had reserved), "held" (its receipt is among those of the put); ``reason``
    says why it was chosen, or passed over, ``why`` why it holds no copy although it was asked;
    ``copied`` is how many bytes of the unit it has said to have.  It was named by the
    ``lookup``-th lookup of the unit (0: this node itself), was offered the unit at ``offered_s`` of
    the put and answered at ``answered_s``, with ``code`` if it refused; it had the first bytes by
    ``first_byte_s`` and ended, with its receipt or without, at ``ended_s``; ``rate`` is bytes a
    second in between.  ``cause`` is of the closed list, ``tries`` are the addresses that were
    dialled; after it had failed ``replaced_by`` took its place.
    """

    unit: str
    node: str
    stage: str
    why: str
    copied: int
    code: str = ""
    lookup: int = 0
    offered_s: float | None = None
    answered_s: float | None = None
    first_byte_s: float | None = None
    ended_s: float | None = None
    rate: float | None = None
    cause: Cause | None = None
    tries: list[AddressTry] = []
    replaced_by: str = ""
    reason: str = ""


class SkippedEntry(msgspec.Struct, frozen=True):
    """What of a tree was not put, by its path below the root, and why."""

    path: str
    why: str


class PutResult(msgspec.Struct, frozen=True):
    """``cid`` names what was put; ``size`` is its content in bytes.

    ``replicas`` is how many copies were asked for, ``min_acks`` how many had to be reached, and
    ``copies`` how many are verified, the smallest number over the units; they are on ``hosts``
    distinct addresses in ``subnets`` (/24 or /48).  ``receipts`` are the holders' signed words;
    ``causes`` says per node why it holds no copy, ``reports`` the same of each unit: 64 of each
    stage at most, and ``untold`` counts the others.  Of
    ``skipped_count`` entries of a tree that could not be put, ``skipped`` names the first.
    ``link`` is the CID with the name of a file, as ``CID?filename=NAME``; "" without a name.
    ``lent`` is whether it did not fit here, so that all of its copies are on other nodes.
    ``replicas_kept`` is whether ``replicas`` is that of an earlier put of the same and not what
    this node has as a default; ``name_kept`` is the name of an earlier put, where that stays.
    ``phases`` is how many seconds each kind of work took.  ``policy_stored`` is False where a
    visit ends before any index node keeps what is wanted: its holders store that in their turn.
    """

    cid: str
    size: int
    replicas: int
    copies: int
    min_acks: int
    receipts: list[SignedReceipt]
    causes: dict[str, str]
    reports: list[HolderReport] = []
    untold: dict[str, int] = {}
    hosts: int = 0
    subnets: int = 0
    skipped: list[SkippedEntry] = []
    skipped_count: int = 0
    link: str = ""
    lent: bool = False
    replicas_kept: bool = False
    name_kept: str = ""
    phases: dict[str, float] = {}
    policy_stored: bool = True


class PutEntry(msgspec.Struct, frozen=True):
    """One of several sources that become the entries of one directory."""

    kind: Literal["file", "directory"]
    name: str


class Put(Operation[PutResult], frozen=True, kw_only=True):
    """Store what the descriptor that goes with it opens: a file, a directory, a pipe, or an archive
    (tar) in a file or pipe, which becomes the directory that it holds.

    With ``entries`` a descriptor for each goes along, and they are put into one new directory.
    What of a directory cannot be stored is skipped, or with ``strict`` refuses all of it; what
    fits a pattern of ``exclude`` (as in .gitignore) is left out.  ``preserve`` keeps modes and
    times of modification.  ``name`` was chosen by the user where ``named``; else what an earlier
    put of the same was called comes before it.  In a ``pipeline`` holders give what is put to each
    other; else each gets it from the node that puts.  Files are cut every MiB (``fixed``), or where
    their content says (``buzhash``), which gives other CIDs.
    All is kept until it is removed, with ``ttl_s`` for so many seconds.
    """

    op: ClassVar[str] = "put"
    descriptors: ClassVar[int] = 1

    kind: SourceKind
    name: str = ""
    named: bool = False
    replicas: Annotated[int, msgspec.Meta(ge=1, le=REPLICAS_MAX)] | None = None
    min_acks: Annotated[int, msgspec.Meta(ge=0, le=REPLICAS_MAX)] | None = None
    ttl_s: Annotated[float, msgspec.Meta(ge=0, le=TTL_MAX_S)] = 0.0
    strict: bool = False
    preserve: bool = False
    pipeline: bool = True
    chunker: Chunker = "fixed"
    exclude: Annotated[tuple[str, ...], msgspec.Meta(max_length=PATTERNS_MAX)] = ()
    entries: Annotated[tuple[PutEntry, ...], msgspec.Meta(max_length=WRAPPED_MAX)] = ()

    @property
    def descriptor_count(self) -> int:
        return len(self.entries) or 1


class GetResult(msgspec.Struct, frozen=True):
    """``cid`` is what was written (not the root it was found under), ``size`` its bytes.

    ``holders`` are the nodes that were connected to for blocks; ``causes`` says why others could
    not be (node -> reason); ``report`` what was done, lookup by lookup and holder by holder.
    ``cached`` if all of it stays here until room is wanted: it was asked for, and there was room.
    """

    cid: str
    size: int
    holders: list[str]
    causes: dict[str, str]
    report: FetchReport = NO_REPORT
    cached: bool = False


class Get(Operation[GetResult], frozen=True, kw_only=True):
    """Write ``target`` (CID or CID/path) as ``name`` into the directory that goes with it; with
    ``force`` in place of what is there; with ``start`` the bytes ``start`` to ``end`` of a file,
    as of ``Read``, and nothing else.  With ``cache`` what was fetched stays here until room is
    wanted, with ``pin`` until the pin is removed, and is announced."""

    op: ClassVar[str] = "get"
    descriptors: ClassVar[int] = 1
    about: ClassVar[str] = "target"

    target: str
    name: str
    pin: bool = False
    force: bool = False
    start: int | None = None
    end: int | None = None
    cache: bool = False


class ReadResult(msgspec.Struct, frozen=True):
    """``cid`` is what was read, ``size`` how many bytes of content; ``report`` is what was done,
    lookup by lookup and holder by holder.  ``type`` is "file" or "directory"."""

    cid: str
    size: int
    report: FetchReport = NO_REPORT
    type: StreamType = "file"


def got(read: ReadResult) -> GetResult:
    """What a get would have told that wrote to a file."""
    holders = [each.node for each in read.report.holders if each.asked]
    causes = {each.node: each.cause.why for each in read.report.holders if each.cause}
    return GetResult(read.cid, read.size, holders, causes, read.report)


ReadForm = Literal["file", "tar", "either"]


class Read(Operation[ReadResult], frozen=True, kw_only=True):
    """Write ``target`` (CID or CID/path) into the pipe that goes with it: the bytes from ``start``
    (counted from the end where negative) up to and without ``end`` (its end where None) of a
    file, in order, or a directory as a tar stream.

    ``form`` says which is wanted; ``name`` is that of the directory in the stream.
    """

    op: ClassVar[str] = "cat"
    descriptors: ClassVar[int] = 1
    about: ClassVar[str] = "target"

    target: str
    start: int = 0
    end: int | None = None
    form: ReadForm = "file"
    name: str = ""


class DirectoryEntry(msgspec.Struct, frozen=True):
    """One name of a directory.  ``size`` is a file's content in bytes, the length of a symbolic
    link's target, and None for a directory: it would take a walk."""

    name: str
    cid: str
    type: ContentType
    size: int | None


class ListDirectory(Operation[list[DirectoryEntry]], frozen=True, kw_only=True):
    """The entries of the directory ``target`` (CID or CID/path)."""

    op: ClassVar[str] = "ls"
    about: ClassVar[str] = "target"

    target: str


class ContentInfo(msgspec.Struct, frozen=True):
    """What a CID is.

    ``size`` is as in ``DirectoryEntry``; ``dag_size`` what all of it claims in bytes, blocks
    included; ``unit`` where its first block is placed; ``here`` whether that block is in the local
    store.
    """

    cid: str
    type: ContentType
    size: int | None
    dag_size: int
    links: int
    unit: str
    here: bool


class DescribeContent(Operation[ContentInfo], frozen=True, kw_only=True):
    """What ``target`` (CID or CID/path) is."""

    op: ClassVar[str] = "stat"
    about: ClassVar[str] = "target"

    target: str


class ProviderInfo(msgspec.Struct, frozen=True):
    """One provider record: ``issued`` and ``expires`` are times of the provider's clock;
    ``addresses`` (HOST:PORT) is empty when nobody told where it is.  ``state`` of one that
    was not asked is "believed" where its receipt is here, else "announced"; of one that was
    "live" (it signed a receipt, or gave a block picked at random), "says so" (it signed none for
    what was put from here), "lacks" (it has not all blocks any more) or "silent" (not reached), and
    ``why`` says why."""

    node: str
    public_key: str
    addresses: list[str]
    issued: Moment
    expires: Moment
    state: str = "announced"
    why: str = ""


class FindProviders(Operation[list[ProviderInfo]], frozen=True, kw_only=True):
    """Who says that it holds ``target`` (CID or CID/path), by node id; with ``check`` they are
    asked now."""

    op: ClassVar[str] = "providers"
    about: ClassVar[str] = "target"

    target: str
    check: bool = False
