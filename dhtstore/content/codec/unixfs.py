"""UnixFS: what a dag-pb node means as a file, a directory, a shard of one, or a symbolic link
(UnixFS specification; ``Data`` message of unixfs.proto).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

import msgspec

from dhtstore.content.codec import dagpb
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.hamt import HASH_TYPE, fanout_bits, prefix_chars, shard_prefixes
from dhtstore.content.codec.protobuf import (
    BYTES,
    FIXED32,
    VARINT,
    bytes_field,
    fields,
    fixed32_field,
    number_field,
    read_varint,
)
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import IDENTITY, RAW, Cid
from dhtstore.model.names import quoted
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    CONTENT_SIZE_MAX_BYTES,
    INLINED_BYTES_PER_LINK,
    INLINED_LINK_WEIGHT,
    LINKS_READ_MAX,
    MTIME_FIELDS_MAX,
    NAME_MAX_BYTES,
    UNIXFS_FIELDS_MAX,
)

_MODE_MASK: Final = 0o7777
_USUAL_MODES: Final = {1: 0o755, 2: 0o644, 4: 0o644, 5: 0o755}  # by Kind; as the reference importer
_TYPE, _CONTENT, _FILESIZE, _BLOCKSIZES, _HASH_TYPE, _FANOUT, _MODE, _MTIME = range(1, 9)
_WIRE_TYPES: Final = {
    _TYPE: (VARINT,),
    _CONTENT: (BYTES,),
    _FILESIZE: (VARINT,),
    _BLOCKSIZES: (VARINT, BYTES),
    _HASH_TYPE: (VARINT,),
    _FANOUT: (VARINT,),
    _MODE: (VARINT,),
    _MTIME: (BYTES,),
}


class Kind(IntEnum):
    """The ``Type`` of a UnixFS node.  A raw block reads as RAW."""

    RAW = 0
    DIRECTORY = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    SHARD = 5


class DagNode(msgspec.Struct, frozen=True, gc=False):
    """A block that was read and found consistent in itself.

    ``size_bytes`` is the content of a file (its own ``content`` and all below); for directories
    the sum of what the links claim.  ``sizes`` are the claims per link: block sizes in a file,
    Tsizes in a directory.  ``weight`` is what opening it costs, in links: inlined children are
    opened with it.
    """

    kind: Kind
    links: list[DagLink]
    sizes: list[int]
    content: bytes | memoryview
    size_bytes: int
    block_bytes: int
    fanout: int = 0
    mode: int | None = None
    mtime: tuple[int, int] | None = None
    weight: int = 0

    @property
    def is_file(self) -> bool:
        return self.kind is Kind.FILE or self.kind is Kind.RAW


def read_node(cid: Cid, block: bytes | memoryview) -> DagNode:
    """What ``block``, already verified against ``cid``, says.  Raises MalformedDag.

    Pure, and for worker threads where somebody else chose the block: one of 2 MiB may take half
    a second.  What bounds that (fields, links, what is inlined in them) is counted first.
    """
    if cid.codec == RAW:
        if len(block) > BLOCK_SIZE_MAX_BYTES:
            raise MalformedDag(f"a block of {len(block)} bytes is too large")
        return DagNode(Kind.RAW, [], [], block, len(block), len(block))
    links, raw = dagpb.decode(block)
    message = _decode(raw, len(links))
    return _READERS[message.kind](links, message, len(block))


def read_whole(cid: Cid, block: bytes | memoryview) -> DagNode:
    """The same with the block itself as its ``content``, for who passes it on as it is."""
    return msgspec.structs.replace(read_node(cid, block), content=block)


class Metadata(msgspec.Struct, frozen=True, gc=False):
    """What UnixFS 1.5 keeps of an inode: ``mode`` with all permission bits (None for links, which
    have none of their own), and ``mtime`` in seconds, below zero before 1970, and nanoseconds."""

    mode: int | None
    mtime: tuple[int, int]


# --- the Data message -----------------------------------------------------------------------


class UnixfsMessage(msgspec.Struct):
    """The UnixFS ``Data`` message, field by field."""

    kind: Kind = Kind.RAW
    content: bytes = b""
    filesize: int | None = None
    blocksizes: list[int] = []  # msgspec copies empty mutable defaults
    hash_type: int | None = None
    fanout: int | None = None
    mode: int | None = None
    mtime: tuple[int, int] | None = None


def with_metadata(message: UnixfsMessage, metadata: Metadata | None) -> UnixfsMessage:
    """``message`` with what is known of the inode.  The usual mode of a kind stands for itself."""
    if metadata is not None:
        usual = metadata.mode == _USUAL_MODES[message.kind]
        message.mode = None if usual else metadata.mode
        message.mtime = metadata.mtime
    return message


def encode(message: UnixfsMessage) -> bytes:
    """The canonical bytes: fields in order of their numbers, absent ones left out."""
    parts = [number_field(_TYPE, message.kind)]
    if message.content:
        parts.append(bytes_field(_CONTENT, message.content))
    if message.filesize is not None:
        parts.append(number_field(_FILESIZE, message.filesize))
    parts += [number_field(_BLOCKSIZES, size) for size in message.blocksizes]
    for field, value in (
        (_HASH_TYPE, message.hash_type),
        (_FANOUT, message.fanout),
        (_MODE, message.mode),
    ):
        if value is not None:
            parts.append(number_field(field, value))
    if message.mtime is not None:
        parts.append(bytes_field(_MTIME, _encode_mtime(message.mtime)))
    return b"".join(parts)


def _encode_mtime(mtime: tuple[int, int]) -> bytes:
    seconds, nanoseconds = mtime
    encoded = number_field(1, seconds & 0xFFFF_FFFF_FFFF_FFFF)  # int64: two's complement
    return encoded + fixed32_field(2, nanoseconds) if nanoseconds else encoded


def _decode(raw: bytes, links: int) -> UnixfsMessage:
    message, kind = UnixfsMessage(), None
    for field, wire_type, value in fields(raw, links + UNIXFS_FIELDS_MAX):
        if field not in _WIRE_TYPES:
            continue  # later versions may add fields; protobuf readers skip them
        if wire_type not in _WIRE_TYPES[field]:
            raise MalformedDag(f"a UnixFS node with field {field} of the wrong wire type")
        if field == _TYPE:
            kind = value
        else:
            _set_field(message, field, value, links)
    if not isinstance(kind, int) or kind not in _READERS:
        raise MalformedDag(f"a UnixFS node of unsupported type {kind!r}")
    message.kind = Kind(kind)
    return message


def _set_field(message: UnixfsMessage, field: int, value: int | bytes, links: int) -> None:
    if field == _BLOCKSIZES:
        sizes = message.blocksizes
        sizes += [value] if isinstance(value, int) else _packed(value, links - len(sizes))
    elif isinstance(value, bytes):
        if field == _CONTENT:
            message.content = value
        else:
            message.mtime = _decode_mtime(value)
    elif field == _FILESIZE:
        message.filesize = value
    elif field == _HASH_TYPE:
        message.hash_type = value
    elif field == _FANOUT:
        message.fanout = value
    else:
        message.mode = value & _MODE_MASK


def _packed(raw: bytes, count_max: int) -> Iterable[int]:
    at = 0
    while at < len(raw):
        if count_max <= 0:
            raise MalformedDag("a file node with more block sizes than links")
        value, at = read_varint(raw, at)
        count_max -= 1
        yield value


def _decode_mtime(raw: bytes) -> tuple[int, int]:
    """Seconds (signed) and nanoseconds."""
    seconds = nanoseconds = 0
    for field, wire_type, value in fields(raw, MTIME_FIELDS_MAX):
        if field == 1 and wire_type == VARINT and isinstance(value, int):
            seconds = value - (1 << 64) if value >> 63 else value
        elif field == 2 and wire_type == FIXED32 and isinstance(value, bytes):
            nanoseconds = int.from_bytes(value, "little")
    if nanoseconds >= 10**9:
        raise MalformedDag("a modification time with a second or more of nanoseconds")
    return seconds, nanoseconds


# --- what each type must hold ---------------------------------------------------------------


def _read_file(links: list[DagLink], message: UnixfsMessage, block_bytes: int) -> DagNode:
    sizes = message.blocksizes
    if len(sizes) != len(links) or (links and message.kind is Kind.RAW):
        raise MalformedDag(f"a file node with {len(links)} links and {len(sizes)} block sizes")
    if 0 in sizes:
        raise MalformedDag("a file node with a child that claims no bytes")
    total = len(message.content) + sum(sizes)
    _check_size("file", total)
    if message.filesize not in (None, total):
        raise MalformedDag(f"a file node that claims {message.filesize} bytes, not {total}")
    return _node(links, sizes, message, total, block_bytes)


def _read_directory(links: list[DagLink], message: UnixfsMessage, block_bytes: int) -> DagNode:
    names = [link.name for link in links]
    for name in names:
        check_name(name)
    if len(set(names)) != len(names):
        raise MalformedDag("a directory with two entries of one name")
    return _directory_node(links, message, block_bytes)


def _read_shard(links: list[DagLink], message: UnixfsMessage, block_bytes: int) -> DagNode:
    if message.hash_type != HASH_TYPE:
        raise MalformedDag(f"a directory shard with unknown hash type {message.hash_type}")
    fanout = message.fanout or 0
    fanout_bits(fanout)
    if len(links) > fanout or len(message.content) > fanout // 8:
        raise MalformedDag(f"a directory shard of {len(links)} links with fanout {fanout}")
    chars, slots = prefix_chars(fanout), 0
    for link, index in zip(links, shard_prefixes(links, fanout), strict=True):
        if slots >> index & 1:
            raise MalformedDag("a directory shard with two links in one slot")
        slots |= 1 << index
        if len(link.name) > chars:
            check_name(link.name[chars:])
    if int.from_bytes(message.content, "big") != slots:
        raise MalformedDag("a directory shard whose bit field does not match its links")
    return _directory_node(links, message, block_bytes)


def _directory_node(links: list[DagLink], message: UnixfsMessage, block_bytes: int) -> DagNode:
    sizes = [link.tsize_bytes for link in links]
    total = sum(sizes)
    _check_size("directory", total)
    return _node(links, sizes, message, total, block_bytes)


def _check_size(kind: str, size_bytes: int) -> None:
    if size_bytes > CONTENT_SIZE_MAX_BYTES:
        limit = CONTENT_SIZE_MAX_BYTES
        raise MalformedDag(
            f"a {kind} that claims {size_bytes} bytes, more than the {limit} allowed"
        )


def _read_symlink(links: list[DagLink], message: UnixfsMessage, block_bytes: int) -> DagNode:
    if links or not message.content:
        raise MalformedDag("a symbolic link with children, or without a target")
    return _node(links, [], message, 0, block_bytes)


def _node(
    links: list[DagLink],
    sizes: list[int],
    message: UnixfsMessage,
    size_bytes: int,
    block_bytes: int,
) -> DagNode:
    return DagNode(
        message.kind,
        links,
        sizes,
        message.content,
        size_bytes,
        block_bytes,
        message.fanout or 0,
        message.mode,
        message.mtime,
        _weight(links),
    )


def _weight(links: list[DagLink]) -> int:
    """Raises MalformedDag where opening the children that are inlined would cost too much."""
    weight = len(links)
    for link in links:
        raw = link.cid.raw
        if raw[2] == IDENTITY and link.cid.inlined is not None:
            weight += INLINED_LINK_WEIGHT + len(raw) // INLINED_BYTES_PER_LINK
    if weight > LINKS_READ_MAX:
        raise MalformedDag("a node with too much inlined in its links")
    return weight


_READERS: Final = {
    Kind.RAW: _read_file,
    Kind.DIRECTORY: _read_directory,
    Kind.FILE: _read_file,
    Kind.SYMLINK: _read_symlink,
    Kind.SHARD: _read_shard,
}


def check_name(name: str) -> None:
    """Raise MalformedDag unless ``name`` can safely be one name in one directory."""
    if len(name) > NAME_MAX_BYTES or len(name.encode()) > NAME_MAX_BYTES:
        raise MalformedDag(f"a directory with a name of {len(name)} characters")
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise MalformedDag(f"a directory with an entry named {quoted(name[:80])}")
