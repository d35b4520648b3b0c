"""DAGs to test with: real ones in a dictionary, and ones that claim sizes nobody stores."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dhtstore.content.builders.directory import DirectoryChild, build_directory, symlink_block
from dhtstore.content.builders.importer import UNIXFS_V1_2025, FileBuilder, Profile
from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.unixfs import DagNode, Kind, UnixfsMessage, read_node
from dhtstore.content.dag.looking.list_walk import ListWalk
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.units import unit_wants
from dhtstore.content.dag.walk import Listed, Output, Piece, Walk, Want
from dhtstore.model.block import Block
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.model.unit import Unit

T = TypeVar("T")
ZEROS = memoryview(bytes(2 << 20))


@dataclass
class Dag:
    """Blocks by CID.  ``leaf`` invents distinct leaves that share one buffer of zeros: walks
    leave hashing to the caller, so terabytes of them cost nothing."""

    blocks: dict[Cid, bytes | memoryview] = field(default_factory=dict)
    invented: int = 0

    def add(self, block: Block) -> Cid:
        assert not isinstance(block.data, bytearray)
        self.blocks[block.cid] = block.data
        return block.cid

    def leaf(self, size_bytes: int) -> DirectoryChild:
        self.invented += 1
        cid = Cid.of(self.invented.to_bytes(8, "big"))
        self.blocks[cid] = ZEROS[:size_bytes]
        return DirectoryChild("", cid, size_bytes)

    def node(self, links: Iterable[DagLink], message: UnixfsMessage) -> Cid:
        return self.add(Block.of(dagpb.encode(links, unixfs.encode(message)), DAG_PB))

    def join(self, parts: Sequence[tuple[Cid, int]], content: bytes = b"") -> Cid:
        """A file node over ``parts``: (CID, content size)."""
        sizes = [size for _, size in parts]
        total = len(content) + sum(sizes)
        links = [DagLink(cid, "", size) for cid, size in parts]
        return self.node(links, UnixfsMessage(Kind.FILE, content, total, sizes))

    def file(self, data: bytes, profile: Profile = UNIXFS_V1_2025) -> DirectoryChild:
        builder = FileBuilder(profile)
        for start in range(0, max(len(data), 1), profile.chunk_size_bytes):
            chunk = data[start : start + profile.chunk_size_bytes]
            for block in builder.add_leaf(self.add(profile.leaf(chunk)), len(chunk)):
                self.add(block)
        root = builder.finish()
        for block in root.blocks:
            self.add(block)
        return DirectoryChild("", root.cid, root.tsize_bytes)

    def claimed_file(self, size_bytes: int, chunk: int = 1 << 20) -> DirectoryChild:
        """A file of invented leaves."""
        builder = FileBuilder()
        while size_bytes:
            step = min(size_bytes, chunk)
            for block in builder.add_leaf(self.leaf(step).cid, step):
                self.add(block)
            size_bytes -= step
        root = builder.finish()
        for block in root.blocks:
            self.add(block)
        return DirectoryChild("", root.cid, root.tsize_bytes)

    def directory(
        self, entries: dict[str, DirectoryChild], profile: Profile = UNIXFS_V1_2025
    ) -> DirectoryChild:
        named = [
            DirectoryChild(name, child.cid, child.tsize_bytes) for name, child in entries.items()
        ]
        root = build_directory(named, profile)
        for block in root.blocks:
            self.add(block)
        return DirectoryChild("", root.cid, root.tsize_bytes)

    def symlink(self, target: str) -> DirectoryChild:
        block = symlink_block(target, UNIXFS_V1_2025)
        return DirectoryChild("", self.add(block), len(block.data))

    # --- driving ------------------------------------------------------------------------------

    def run(self, walk: Walk, *, limit: int = 16, seed: int | None = None) -> list[Output]:
        """Walk to the end; with a seed, blocks arrive in an order of chance."""
        return [output for _, outputs in self.steps(walk, limit, seed) for output in outputs]

    def steps(
        self, walk: Walk, limit: int = 16, seed: int | None = None
    ) -> Generator[tuple[Want | None, list[Output]], None, None]:
        rng = random.Random(seed)
        waiting: list[Want] = []
        yield None, list(getattr(walk, "opening", []))
        while not walk.done:
            waiting += walk.next(limit - len(waiting))
            assert waiting, "a walk that is not done wants nothing"
            want = waiting.pop(rng.randrange(len(waiting)) if seed is not None else 0)
            yield want, walk.accept(want, self.read(want.cid))

    def read(self, cid: Cid) -> DagNode:
        return read_node(cid, self.blocks[cid])

    def wants(self, walk: Walk) -> list[Cid]:
        return [want.cid for want, _ in self.steps(walk) if want]

    def listed(self, root: Cid, *, limit: int = 16, seed: int | None = None) -> list[Listed]:
        """The rows of a listing."""
        outputs = self.run(ListWalk(root), limit=limit, seed=seed)
        return [row for row in outputs if isinstance(row, Listed)]

    def answer(
        self,
        asking: Generator[Want, DagNode, T],
        heard: Callable[[Want], None] = lambda want: None,
    ) -> T:
        """Feed a generator that yields wants."""
        try:
            want = next(asking)
            while True:
                heard(want)
                want = asking.send(self.read(want.cid))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def units(self, root: Cid) -> list[Unit]:
        return self.answer(unit_wants(root))

    def unit_blocks(self, unit: Unit) -> list[Cid]:
        return self.wants(UnitWalk(unit))


def joined(outputs: Iterable[Output], path: tuple[str, ...] = ()) -> bytes:
    """The bytes of the pieces of ``path``, which must fill it without gap or overlap."""
    pieces = sorted(
        (output.offset, bytes(output.data))
        for output in outputs
        if isinstance(output, Piece) and output.path == path
    )
    data = bytearray()
    start = pieces[0][0] if pieces else 0
    for offset, part in pieces:
        assert offset == start + len(data)
        data += part
    return bytes(data)
