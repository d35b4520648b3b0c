"""Bytes to a file's DAG: the profiles and the balanced builder (IPIP-499; UnixFS specification).

data path: chunk -> Profile.leaf (anywhere, also in worker threads) -> FileBuilder.add_leaf ->
interior blocks as soon as they are full -> FileBuilder.finish => root.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec

from dhtstore.content.builders import buzhash
from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.unixfs import Kind, Metadata, UnixfsMessage, with_metadata
from dhtstore.model.block import Block
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.params import (
    BUZHASH_MAX_BYTES,
    BUZHASH_MIN_BYTES,
    CHUNK_SIZE_BYTES,
    KIB,
    LINKS_PER_NODE_MAX,
)

_CHUNKS_AT_ONCE: Final = 8  # of content-defined ones: what is read twice behind them is the less


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that decides which CID some bytes get (IPIP-499).

    ``shard_by`` says what is held against HAMT_THRESHOLD_BYTES: the directory's encoded block,
    or only the names and CIDs of its links.  Chunks are of ``chunk_size_bytes``, or, where the
    content decides (``chunker``), at most so long.
    """

    name: str
    chunk_size_bytes: int
    links_max: int
    raw_leaves: bool
    cid_version: Literal[0, 1]
    shard_by: Literal["block", "links"]
    chunker: Literal["fixed", "buzhash"] = "fixed"

    @property
    def by_content(self) -> bool:
        """Whether where a chunk ends shows only when it is read."""
        return self.chunker == "buzhash"

    @property
    def one_leaf_bytes(self) -> int:
        """What is no longer than this is one leaf for sure; no chunk but the last is shorter."""
        return BUZHASH_MIN_BYTES if self.by_content else self.chunk_size_bytes

    @property
    def read_ahead_bytes(self) -> int:
        """How much to read at once of what is cut in order."""
        return self.chunk_size_bytes * (_CHUNKS_AT_ONCE if self.by_content else 1)

    def cut(self, data: memoryview) -> int:
        """How long the first chunk of ``data`` is, which is all that is left or at least
        ``chunk_size_bytes``."""
        return buzhash.cut(data) if self.by_content else min(len(data), self.chunk_size_bytes)

    def chunks(self, data: bytes, *, ended: bool) -> Iterator[bytes]:
        """The chunks at the beginning of ``data`` of which it is certain where they end; all of it
        where nothing follows (``ended``)."""
        view, offset = memoryview(data), 0
        while len(data) - offset >= (1 if ended else self.chunk_size_bytes):
            size_bytes = self.cut(view[offset:])
            yield data[offset : offset + size_bytes]
            offset += size_bytes

    def leaf(self, chunk: bytes | bytearray | memoryview) -> Block:
        """The leaf block of a chunk of at most ``chunk_size_bytes``.  Never copies a raw leaf."""
        if self.raw_leaves:
            return Block(Cid.of(chunk), chunk)
        return self.block(_leaf_node(bytes(chunk)))

    def leaf_bytes(self, size_bytes: int) -> int:
        """How long the leaf block of a chunk of ``size_bytes`` is."""
        if self.raw_leaves:
            return size_bytes
        return len(_leaf_node(bytes(size_bytes)))

    def block(self, data: bytes) -> Block:
        """A dag-pb block named as this profile names them."""
        cid = Cid.of(data, DAG_PB)
        return Block(cid if self.cid_version else Cid(cid.multihash), data)


def _leaf_node(chunk: bytes, metadata: Metadata | None = None) -> bytes:
    message = UnixfsMessage(Kind.FILE, chunk, len(chunk))
    return dagpb.encode((), unixfs.encode(with_metadata(message, metadata)))


UNIXFS_V1_2025: Final = Profile(
    "unixfs-v1-2025", CHUNK_SIZE_BYTES, LINKS_PER_NODE_MAX, True, 1, "block"
)
UNIXFS_V0_2015: Final = Profile("unixfs-v0-2015", 256 * KIB, 174, False, 0, "links")
UNIXFS_BUZHASH: Final = replace(
    UNIXFS_V1_2025, name="buzhash", chunk_size_bytes=BUZHASH_MAX_BYTES, chunker="buzhash"
)
CHUNKERS: Final = {profile.chunker: profile for profile in (UNIXFS_V1_2025, UNIXFS_BUZHASH)}
PROFILES: Final = {profile.name: profile for profile in (UNIXFS_V1_2025, UNIXFS_V0_2015)}


class _Subtree(msgspec.Struct, frozen=True, gc=False):
    cid: Cid
    size_bytes: int
    tsize_bytes: int


@dataclass(frozen=True, slots=True)
class FileRoot:
    """A finished file: ``size_bytes`` of content; ``tsize_bytes`` with every block of the DAG
    counted where it is linked; ``height`` levels below the root; ``blocks`` are the last ones to
    store."""

    cid: Cid
    size_bytes: int
    tsize_bytes: int
    height: int
    blocks: list[Block]


class FileBuilder:
    """A balanced tree over leaves given in order.  Memory: ``links_max`` entries per level."""

    def __init__(self, profile: Profile = UNIXFS_V1_2025) -> None:
        self._profile = profile
        self._levels: list[list[_Subtree]] = [[]]
        self._leaf_bytes: dict[int, int] = {}
        self._closed: list[_Subtree] = []  # the children of the node that was made last

    def add_leaf(self, cid: Cid, size_bytes: int) -> list[Block]:
        """Append the leaf ``cid`` of ``size_bytes`` content.

        Returns the interior blocks this filled.
        """
        leaf = _Subtree(cid, size_bytes, self._tsize_of(size_bytes))
        blocks: list[Block] = []
        level = 0
        self._levels[0].append(leaf)
        while len(self._levels[level]) == self._profile.links_max:
            self._close(level, blocks)
            level += 1
        return blocks

    def finish(self, metadata: Metadata | None = None, content: bytes = b"") -> FileRoot:
        """Close what is open.  Without any leaf, the empty file.

        ``metadata`` goes into the root.  A leaf alone is made anew for it of its ``content``,
        since a raw block has no place for it, as the reference importer does.
        """
        if metadata is None:
            return self._finish()
        root = self._finish()
        if root.height:
            block = self._node(self._closed, metadata)
        else:
            block = self._profile.block(_leaf_node(content, metadata))
        tsize = len(block.data) + sum(child.tsize_bytes for child in self._closed)
        blocks = [*(each for each in root.blocks if each.cid != root.cid), block]
        return FileRoot(block.cid, root.size_bytes, tsize, root.height, blocks)

    def _finish(self) -> FileRoot:
        blocks: list[Block] = []
        if not any(self._levels):
            empty = self._profile.leaf(b"")
            blocks += [empty, *self.add_leaf(empty.cid, 0)]
        level = 0
        while level < len(self._levels) - 1 or len(self._levels[level]) > 1:
            if self._levels[level]:
                self._close(level, blocks)
            level += 1
        root = self._levels[level][0]
        return FileRoot(root.cid, root.size_bytes, root.tsize_bytes, level, blocks)

    def _close(self, level: int, blocks: list[Block]) -> None:
        """Turn the children waiting at ``level`` into one node of the level above."""
        children = self._closed = self._levels[level]
        block = self._node(children)
        blocks.append(block)
        total = sum(child.size_bytes for child in children)
        tsize = len(block.data) + sum(child.tsize_bytes for child in children)
        if level + 1 == len(self._levels):
            self._levels.append([])
        self._levels[level + 1].append(_Subtree(block.cid, total, tsize))
        self._levels[level] = []

    def _node(self, children: list[_Subtree], metadata: Metadata | None = None) -> Block:
        sizes = [child.size_bytes for child in children]
        links = (DagLink(child.cid, "", child.tsize_bytes) for child in children)
        message = UnixfsMessage(Kind.FILE, filesize=sum(sizes), blocksizes=sizes)
        encoded = unixfs.encode(with_metadata(message, metadata))
        return self._profile.block(dagpb.encode(links, encoded))

    def _tsize_of(self, size_bytes: int) -> int:
        if size_bytes not in self._leaf_bytes:
            if len(self._leaf_bytes) > 1:
                self._leaf_bytes.clear()
            self._leaf_bytes[size_bytes] = self._profile.leaf_bytes(size_bytes)
        return self._leaf_bytes[size_bytes]
