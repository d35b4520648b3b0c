"""Entries to a directory's blocks: one node, or a HAMT of shards when that would be too large
(UnixFS specification; IPIP-499 for where the limit lies).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from dhtstore.content.builders.importer import Profile
from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.hamt import HASH_TYPE, name_hash, prefix_chars, slot
from dhtstore.content.codec.unixfs import (
    Kind,
    Metadata,
    UnixfsMessage,
    check_name,
    with_metadata,
)
from dhtstore.errors import MalformedDag, UnreadableSource
from dhtstore.model.block import Block
from dhtstore.model.cid import Cid
from dhtstore.model.names import bytes_of
from dhtstore.params import HAMT_FANOUT, HAMT_THRESHOLD_BYTES


class DirectoryChild(msgspec.Struct, frozen=True, gc=False):
    """One entry of a directory; ``tsize_bytes`` is the whole DAG below ``cid``, blocks included,
    and ``height`` its levels below ``cid``."""

    name: str
    cid: Cid
    tsize_bytes: int
    height: int = 0


@dataclass(frozen=True, slots=True)
class DirectoryRoot:
    """A finished directory: ``height`` levels below its root; ``blocks`` are its own."""

    cid: Cid
    tsize_bytes: int
    height: int
    blocks: list[Block]


def build_directory(
    entries: Sequence[DirectoryChild], profile: Profile, metadata: Metadata | None = None
) -> DirectoryRoot:
    """The root and the blocks of a directory; ``metadata`` goes into the root.

    Raises UnreadableSource for a name that cannot be stored, or stands twice.
    """
    _check_names(entries)
    links = [DagLink(entry.cid, entry.name, entry.tsize_bytes) for entry in entries]
    links.sort(key=lambda link: link.name.encode())
    if not _too_large(links, profile):
        message = with_metadata(UnixfsMessage(Kind.DIRECTORY), metadata)
        block = profile.block(dagpb.encode(links, unixfs.encode(message)))
        if profile.shard_by == "links" or len(block.data) <= HAMT_THRESHOLD_BYTES:
            height = max((1 + entry.height for entry in entries), default=0)
            return DirectoryRoot(block.cid, _tsize(block, links), height, [block])
    heights = {entry.name: entry.height for entry in entries}
    return _build_hamt(links, heights, profile, metadata)


def symlink_block(target: str, profile: Profile, metadata: Metadata | None = None) -> Block:
    """The block of a symbolic link to ``target``, a name or several with slashes between them,
    which it holds as the bytes they are on a disk.  Its Tsize is its length."""
    message = with_metadata(UnixfsMessage(Kind.SYMLINK, bytes_of(target)), metadata)
    return profile.block(dagpb.encode((), unixfs.encode(message)))


def _check_names(entries: Sequence[DirectoryChild]) -> None:
    for entry in entries:
        _utf8(entry.name)
        try:
            check_name(entry.name)
        except MalformedDag as error:
            raise UnreadableSource(f"cannot be stored: {error}") from error
    if len({entry.name for entry in entries}) != len(entries):
        raise UnreadableSource("two entries of one directory have the same name")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise UnreadableSource(f"the name {text!r} is not UTF-8 and cannot be stored") from None


def _too_large(links: Sequence[DagLink], profile: Profile) -> bool:
    """Whether the links alone already exceed the limit."""
    total = sum(len(link.name.encode()) + len(link.cid.raw) for link in links)
    return total > HAMT_THRESHOLD_BYTES


def _tsize(block: Block, links: Sequence[DagLink]) -> int:
    return len(block.data) + sum(link.tsize_bytes for link in links)


# --- HAMT -----------------------------------------------------------------------------------

_Hashed = tuple[int, DagLink]


def _build_hamt(
    links: Sequence[DagLink],
    heights: Mapping[str, int],
    profile: Profile,
    metadata: Metadata | None,
) -> DirectoryRoot:
    hashed = sorted(((name_hash(link.name), link) for link in links), key=lambda pair: pair[0])
    blocks: list[Block] = []
    root, height = _build_shard(hashed, 0, heights, profile, blocks, metadata)
    return DirectoryRoot(root.cid, root.tsize_bytes, height, blocks)


def _build_shard(
    hashed: Sequence[_Hashed],
    level: int,
    heights: Mapping[str, int],
    profile: Profile,
    blocks: list[Block],
    metadata: Metadata | None = None,
) -> tuple[DagLink, int]:
    """Append the blocks of one shard, children first; returns a nameless link to it, and its
    height.

    ``hashed`` is sorted, so the names of one slot stand together.
    """
    chars, bits, height, links = prefix_chars(HAMT_FANOUT), 0, 0, []
    for index, run in groupby(hashed, lambda pair: slot(pair[0], level, HAMT_FANOUT)):
        group, prefix = list(run), f"{index:0{chars}X}"
        bits |= 1 << index
        child = group[0][1]
        name, below = prefix + child.name, heights[child.name]
        if len(group) > 1:
            child, below = _build_shard(group, level + 1, heights, profile, blocks)
            name = prefix
        height = max(height, 1 + below)
        links.append(DagLink(child.cid, name, child.tsize_bytes))
    message = with_metadata(_shard(bits), metadata)
    block = profile.block(dagpb.encode(links, unixfs.encode(message)))
    blocks.append(block)
    return DagLink(block.cid, "", _tsize(block, links)), height


def _shard(bits: int) -> UnixfsMessage:
    field = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
    return UnixfsMessage(Kind.SHARD, field, hash_type=HASH_TYPE, fanout=HAMT_FANOUT)
