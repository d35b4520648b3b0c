"""Blocks that cost as much as the limits allow, or would without them."""

from __future__ import annotations

from collections.abc import Iterator

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


def worst_blocks() -> Iterator[tuple[str, bytes]]:
    """By what they are made of; the dag-pb blocks of a peer that wants to cost us time."""
    cids = [Cid.of(number.to_bytes(4, "big")) for number in range(MANY)]
    named = [DagLink(cid, f"{number:x}", 1) for number, cid in enumerate(cids)]
    yield "a directory as large as can be", node(named, UnixfsMessage(Kind.DIRECTORY))
    yield "a file as wide as can be", wide_file([DagLink(cid, "", 1) for cid in cids], 1)
    yield "a spine as wide as can be", wide_file([DagLink(cid, "", 1) for cid in cids], GIB // 3)
    yield "a spine of spines", wide_file([DagLink(cid, "", 1) for cid in cids], 2 * GIB)
    byte = inlined(b"x")
    yield "a file of inlined bytes", wide_file([DagLink(byte, "", 1)] * 13_000, 1)
    yield "more inlined bytes than allowed", wide_file([DagLink(byte, "", 1)] * 65_000, 1)
    entries = [DagLink(byte, f"{number:x}", 1) for number in range(13_000)]
    yield "a directory of inlined files", node(entries, UnixfsMessage(Kind.DIRECTORY))
    tree = dagpb.encode([DagLink(byte, f"{number}", 1) for number in range(8)], DIRECTORY)
    nested = [DagLink(inlined(tree, DAG_PB), f"{number:x}", 8) for number in range(3_000)]
    yield "directories inlined in one", node(nested, UnixfsMessage(Kind.DIRECTORY))
    yield "nested as much as allowed", node(nested[:600], UnixfsMessage(Kind.DIRECTORY))
    bits = (1 << 1024) - 1
    shard = UnixfsMessage(Kind.SHARD, bits.to_bytes(128, "big"), hash_type=HASH_TYPE, fanout=1024)
    slots = [DagLink(cid, f"{number:03X}", 1) for number, cid in enumerate(cids[:1024])]
    yield "a shard with all its slots", node(slots, shard)
    yield (
        "a bit field of a megabyte",
        node(slots, UnixfsMessage(Kind.SHARD, bytes(MIB), hash_type=HASH_TYPE, fanout=1024)),
    )
    unknown = number_field(20, 1) * (BLOCK_SIZE_MAX_BYTES // 4)
    yield "fields of later versions", dagpb.encode((), DIRECTORY + unknown)
    packed = number_field(1, Kind.FILE) + bytes_field(4, bytes([1]) * (2 * MIB - 64))
    yield "block sizes without links", dagpb.encode((), packed)
    mtime = bytes_field(8, number_field(3, 1) * (MIB - 64))
    yield "fields of a modification time", dagpb.encode((), DIRECTORY + mtime)
    yield "links that are empty", bytes_field(2, b"") * (MIB - 64)
    long = [DagLink(cid, f"{number:01000x}", 1) for number, cid in enumerate(cids[:1900])]
    yield "long names", node(long, UnixfsMessage(Kind.DIRECTORY))
    slashes = [DagLink(cids[0], "a" * (2 * MIB - 200) + "/", 1)]
    yield "a name of two megabytes", node(slashes, UnixfsMessage(Kind.DIRECTORY))
