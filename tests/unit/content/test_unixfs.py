"""What a node must hold to be believed."""

from __future__ import annotations

import pytest

from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.protobuf import bytes_field, number_field
from dhtstore.content.codec.unixfs import DagNode, Kind, UnixfsMessage, read_node
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.params import NAME_MAX_BYTES

CID = Cid.of(b"child")
FILE = number_field(1, Kind.FILE)


def read(message: UnixfsMessage | bytes, links: list[DagLink] | None = None) -> DagNode:
    raw = message if isinstance(message, bytes) else unixfs.encode(message)
    block = dagpb.encode(links or [], raw)
    return read_node(Cid.of(block, DAG_PB), block)


def test_a_raw_block_is_a_file_and_is_not_copied() -> None:
    view = memoryview(b"content")
    node = read_node(Cid.of(view), view)
    assert node.content is view
    assert (node.kind, node.size_bytes, node.is_file) == (Kind.RAW, 7, True)


def test_mode_and_mtime_are_read() -> None:
    mtime = number_field(1, (1 << 64) - 5) + b"\x15" + (7).to_bytes(4, "little")
    node = read(FILE + number_field(3, 0) + number_field(7, 0o100755) + bytes_field(8, mtime))
    assert (node.mode, node.mtime) == (0o755, (-5, 7))


def test_block_sizes_may_be_packed_and_unknown_fields_are_skipped() -> None:
    packed = bytes_field(4, b"\x05\x06")
    node = read(
        FILE + packed + number_field(3, 11) + bytes_field(15, b"?"), [DagLink(CID, "", 5)] * 2
    )
    assert node.sizes == [5, 6]


def test_a_file_may_leave_its_size_out_and_hold_bytes_of_its_own() -> None:
    node = read(UnixfsMessage(Kind.FILE, b"head", None, [5]), [DagLink(CID, "", 5)])
    assert node.size_bytes == 9


SHARD = UnixfsMessage(Kind.SHARD, b"\x01", hash_type=0x22, fanout=256)
BAD: dict[str, tuple[UnixfsMessage | bytes, list[DagLink]]] = {
    "no type": (b"", []),
    "metadata": (UnixfsMessage(Kind.METADATA), []),
    "type 9": (number_field(1, 9), []),
    "type of wrong wire type": (bytes_field(1, b"\x02"), []),
    "size that lies": (UnixfsMessage(Kind.FILE, b"abc", 4), []),
    "block sizes that do not add up": (
        UnixfsMessage(Kind.FILE, b"", 9, [4]),
        [DagLink(CID, "", 4)],
    ),
    "fewer block sizes than links": (
        UnixfsMessage(Kind.FILE, b"", 4, [4]),
        [DagLink(CID, "", 4)] * 2,
    ),
    "child of no bytes": (UnixfsMessage(Kind.FILE, b"", 0, [0]), [DagLink(CID, "", 4)]),
    "exbibytes": (UnixfsMessage(Kind.FILE, b"", None, [1 << 61]), [DagLink(CID, "", 4)]),
    "raw node with children": (UnixfsMessage(Kind.RAW, b"", 4, [4]), [DagLink(CID, "", 4)]),
    "two entries of one name": (UnixfsMessage(Kind.DIRECTORY), [DagLink(CID, "a", 1)] * 2),
    "directory of exbibytes": (UnixfsMessage(Kind.DIRECTORY), [DagLink(CID, "a", 1 << 61)]),
    "symlink with children": (UnixfsMessage(Kind.SYMLINK, b"a"), [DagLink(CID, "a", 1)]),
    "symlink without target": (UnixfsMessage(Kind.SYMLINK), []),
    "time beyond its second": (FILE + bytes_field(8, b"\x15" + b"\xff" * 4), []),
    "shard of another hash": (UnixfsMessage(Kind.SHARD, b"", hash_type=0x12, fanout=256), []),
    "shard without hash": (UnixfsMessage(Kind.SHARD, b"", fanout=256), []),
    "shard without fanout": (UnixfsMessage(Kind.SHARD, b"", hash_type=0x22), []),
    "shard of odd fanout": (UnixfsMessage(Kind.SHARD, b"", hash_type=0x22, fanout=100), []),
    "shard of huge fanout": (UnixfsMessage(Kind.SHARD, b"", hash_type=0x22, fanout=1 << 20), []),
    "shard link in lower case": (SHARD, [DagLink(CID, "0aname", 1)]),
    "shard link without prefix": (SHARD, [DagLink(CID, "zz", 1)]),
    "shard link with half a prefix": (SHARD, [DagLink(CID, "0", 1)]),
    "shard with a slot used twice": (SHARD, [DagLink(CID, "00a", 1), DagLink(CID, "00b", 1)]),
    "shard with another bit field": (SHARD, [DagLink(CID, "01a", 1)]),
}


@pytest.mark.parametrize(("message", "links"), BAD.values(), ids=BAD.keys())
def test_a_node_that_contradicts_itself_is_refused(
    message: UnixfsMessage | bytes, links: list[DagLink]
) -> None:
    with pytest.raises(MalformedDag):
        read(message, links)


NAMES = [".", "..", "a/b", "/", "a\0b", "n" * (NAME_MAX_BYTES + 1), "\u20ac" * 400]


@pytest.mark.parametrize("name", ["", *NAMES])
def test_a_name_that_could_leave_its_directory_is_refused(name: str) -> None:
    with pytest.raises(MalformedDag, match="name"):
        read(UnixfsMessage(Kind.DIRECTORY), [DagLink(CID, name, 1)])


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_could_leave_its_shard_is_refused(name: str) -> None:
    with pytest.raises(MalformedDag, match="name"):
        read(SHARD, [DagLink(CID, "00" + name, 1)])


def test_a_size_beyond_the_limit_names_the_limit() -> None:
    size = 5 * 10**18
    with pytest.raises(MalformedDag, match=f"claims {size} bytes, more than the {1 << 60}"):
        read(UnixfsMessage(Kind.FILE, b"", size, [size]), [DagLink(CID, "", 4)])
    with pytest.raises(MalformedDag, match=f"claims {size} bytes, more than the {1 << 60}"):
        read(UnixfsMessage(Kind.DIRECTORY), [DagLink(CID, "huge", size)])
