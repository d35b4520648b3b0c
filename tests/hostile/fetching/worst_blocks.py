"""Blocks that cost as much as the limits allow, or would without them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.hamt import HASH_TYPE
from dhtstore.content.codec.protobuf import bytes_field, number_field
from dhtstore.content.codec.unixfs import Kind, UnixfsMessage
from dhtstore.model.cid import DAG_PB, RAW, Cid
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, GIB, MIB

MANY = 40_000
DIRECTORY = unixfs.encode(UnixfsMessage(Kind.DIRECTORY))


def inlined(data: bytes, codec: int = RAW) -> Cid:
    return Cid(bytes((1, codec, 0, len(data))) + data)


def node(links: list[DagLink], message: UnixfsMessage) -> bytes:
    return dagpb.encode(links, unixfs.encode(message))


def wide_file(links: list[DagLink], size_bytes: int) -> bytes:
    return node(links, UnixfsMessage(Kind.FILE, blocksizes=[size_bytes] * len(links)))


def directory(links: list[DagLink]) -> bytes:
    return node(links, UnixfsMessage(Kind.DIRECTORY))


@cache
def cids() -> list[Cid]:
    return [Cid.of(number.to_bytes(4, "big")) for number in range(MANY)]


def children() -> list[DagLink]:
    return [DagLink(cid, "", 1) for cid in cids()]


BYTE: Final = inlined(b"x")


def bytes_inlined(count: int) -> bytes:
    return wide_file([DagLink(BYTE, "", 1)] * count, 1)


def directories_inlined(count: int) -> bytes:
    tree = dagpb.encode([DagLink(BYTE, f"{number}", 1) for number in range(8)], DIRECTORY)
    cid = inlined(tree, DAG_PB)
    return directory([DagLink(cid, f"{number:x}", 8) for number in range(count)])


def shard(field: bytes) -> bytes:
    slots = [DagLink(cid, f"{number:03X}", 1) for number, cid in enumerate(cids()[:1024])]
    return node(slots, UnixfsMessage(Kind.SHARD, field, hash_type=HASH_TYPE, fanout=1024))


def unknown_fields() -> bytes:
    return DIRECTORY + number_field(20, 1) * (BLOCK_SIZE_MAX_BYTES // 4)


def sizes_alone() -> bytes:
    return number_field(1, Kind.FILE) + bytes_field(4, bytes([1]) * (2 * MIB - 64))


def mtime_of_many_fields() -> bytes:
    return DIRECTORY + bytes_field(8, number_field(3, 1) * (MIB - 64))


def named(count: int, name: str) -> bytes:
    """``name`` is the format of the number."""
    return directory([DagLink(cid, f"{n:{name}}", 1) for n, cid in enumerate(cids()[:count])])


# By what they are made of; the dag-pb blocks of a peer that wants to cost us time.
WORST_BLOCKS: Final[dict[str, Callable[[], bytes]]] = {
    "a directory as large as can be": lambda: named(MANY, "x"),
    "a file as wide as can be": lambda: wide_file(children(), 1),
    "a spine as wide as can be": lambda: wide_file(children(), GIB // 3),
    "a spine of spines": lambda: wide_file(children(), 2 * GIB),
    "a file of inlined bytes": lambda: bytes_inlined(13_000),
    "more inlined bytes than allowed": lambda: bytes_inlined(65_000),
    "a directory of inlined files": lambda: directory(
        [DagLink(BYTE, f"{number:x}", 1) for number in range(13_000)]
    ),
    "directories inlined in one": lambda: directories_inlined(3_000),
    "nested as much as allowed": lambda: directories_inlined(600),
    "a shard with all its slots": lambda: shard(b"\xff" * 128),
    "a bit field of a megabyte": lambda: shard(bytes(MIB)),
    "fields of later versions": lambda: dagpb.encode((), unknown_fields()),
    "block sizes without links": lambda: dagpb.encode((), sizes_alone()),
    "fields of a modification time": lambda: dagpb.encode((), mtime_of_many_fields()),
    "links that are empty": lambda: bytes_field(2, b"") * (MIB - 64),
    "long names": lambda: named(1900, "01000x"),
    "a name of two megabytes": lambda: directory(
        [DagLink(cids()[0], "a" * (2 * MIB - 200) + "/", 1)]
    ),
}
