"""DAGs that strangers make up: blocks by CID, and the unit they are offered as."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.unixfs import Kind, UnixfsMessage
from dhtstore.content.dag.local import local_units
from dhtstore.model.block import stored_bytes
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.model.unit import Unit
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.memory import MemoryBlockStore

LEAF_BYTES: Final = MIB
LEAVES: Final = 8
NAME_CHARS: Final = 1000
DIRECTORY_LINKS: Final = 200  # of long names: a block of 200 KiB that holds no content
DIRECTORIES: Final = 40
SHORT_LINKS: Final = 24_000  # in a directory block of a megabyte
UNKNOWN_FIELDS: Final = 1_000_000  # and the block stays below 2 MiB
UNKNOWN_FIELD: Final = b"\x58\x01"  # protobuf: field 11, the varint 1
MANY_ROOTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class MadeUp:
    """``blocks`` are all that is served of the unit; sizes in bytes are what is true."""

    unit: Unit
    blocks: dict[bytes, bytes]

    @property
    def stored_bytes(self) -> int:
        """What it would take on a disk."""
        return sum(stored_bytes(Cid.decode(raw), len(data)) for raw, data in self.blocks.items())


def plain(rng: random.Random, leaves: int = LEAVES) -> MadeUp:
    """A file like any other, of random bytes."""
    blocks = {cid.raw: data for cid, data in (_leaf(rng) for _ in range(leaves))}
    return _file(blocks, [*blocks], LEAF_BYTES)


def tiny(rng: random.Random) -> MadeUp:
    """A few bytes."""
    data = rng.randbytes(8)
    cid = Cid.of(data)
    return MadeUp(Unit.of((cid,), len(data)), {cid.raw: data})


def malformed_at_the_end(rng: random.Random) -> MadeUp:
    """A file whose last leaf is no node."""
    made = plain(rng)
    broken = b"\xff" + rng.randbytes(KIB)
    last = Cid.of(broken, DAG_PB)
    leaves = [cid for cid in made.blocks if cid != made.unit.roots[0].raw]
    return _file({**made.blocks, last.raw: broken}, [*leaves, last.raw], LEAF_BYTES)


def interior(rng: random.Random) -> MadeUp:
    """Directories in a directory, of long names, all for one empty file: no content at all."""
    empty = dagpb.encode((), unixfs.encode(UnixfsMessage(Kind.FILE, b"", 0)))
    blocks = {Cid.of(empty, DAG_PB).raw: empty}
    links = []
    for number in range(DIRECTORIES):
        cid, data = _directory(rng, Cid.of(empty, DAG_PB), DIRECTORY_LINKS, NAME_CHARS)
        blocks[cid.raw] = data
        links.append(DagLink(cid, f"{number:04}", len(data)))
    root = dagpb.encode(links, unixfs.encode(UnixfsMessage(Kind.DIRECTORY)))
    blocks[Cid.of(root, DAG_PB).raw] = root
    return _made(Cid.of(root, DAG_PB), blocks)


def wide_directory(rng: random.Random) -> MadeUp:
    """One block of a megabyte, with links as short as can be."""
    empty = dagpb.encode((), unixfs.encode(UnixfsMessage(Kind.FILE, b"", 0)))
    cid, data = _directory(rng, Cid.of(empty, DAG_PB), SHORT_LINKS, 0)
    return _made(cid, {cid.raw: data, Cid.of(empty, DAG_PB).raw: empty})


def unknown_fields(rng: random.Random) -> MadeUp:
    """One block of a million fields that no codec knows."""
    salt = b"\x58" + bytes(0x80 | each for each in rng.randbytes(4)) + b"\x01"
    inner = unixfs.encode(UnixfsMessage(Kind.FILE, b"", 0))
    data = dagpb.encode((), inner + salt + UNKNOWN_FIELD * UNKNOWN_FIELDS)
    cid = Cid.of(data, DAG_PB)
    return MadeUp(Unit.of((cid,), 0), {cid.raw: data})


def many_roots(rng: random.Random) -> MadeUp:
    """A run of ten thousand roots, none of which is anywhere."""
    roots = tuple(Cid.of(rng.randbytes(8)) for _ in range(MANY_ROOTS))
    return MadeUp(Unit.of(roots, MANY_ROOTS), {})


def _made(root: Cid, blocks: dict[bytes, bytes]) -> MadeUp:
    """Cut as everybody cuts it."""
    store = MemoryBlockStore()
    with store.batch() as batch:
        for raw, data in blocks.items():
            batch.put(Cid.decode(raw), data)
        batch.commit()
    return MadeUp(local_units(store, root)[0], blocks)


def _leaf(rng: random.Random) -> tuple[Cid, bytes]:
    data = rng.randbytes(LEAF_BYTES)
    return Cid.of(data), data


def _directory(rng: random.Random, child: Cid, links: int, name_chars: int) -> tuple[Cid, bytes]:
    salt = f"{rng.getrandbits(32):08x}"
    named = [
        DagLink(child, f"{salt}{number:06}".ljust(name_chars, "x"), 4) for number in range(links)
    ]
    data = dagpb.encode(named, unixfs.encode(UnixfsMessage(Kind.DIRECTORY)))
    return Cid.of(data, DAG_PB), data


def _file(blocks: dict[bytes, bytes], leaves: list[bytes], leaf_bytes: int) -> MadeUp:
    sizes = [leaf_bytes] * len(leaves)
    links = [DagLink(Cid.decode(raw), "", leaf_bytes) for raw in leaves]
    message = UnixfsMessage(Kind.FILE, b"", sum(sizes), sizes)
    root = dagpb.encode(links, unixfs.encode(message))
    cid = Cid.of(root, DAG_PB)
    return MadeUp(Unit.of((cid,), sum(sizes)), {**blocks, cid.raw: root})
