"""Blocks of one import on their way into the store, committed in groups."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from dhtstore.content.builders.importer import FileBuilder, Profile
from dhtstore.content.codec.unixfs import Metadata
from dhtstore.model.block import Block
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.node.importing.manner import Manner
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.contract import Batch
from dhtstore.store.blocks.lent import LentBlocks
from dhtstore.store.blocks.write_block import write_blocks

COMMIT_GROUP_BYTES = 256 * MIB  # what one fsync and one index transaction cover
COUNTED_MIN_BYTES = 4 * KIB  # of a block; others wait for a transaction, which has 65,536 at most

# Called on the loop before more is written: with how much was, and how many blocks since the commit
Ahead = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Imported:
    """What a source became.  ``tsize_bytes`` includes interior blocks; ``height`` is how many
    levels lie below the root."""

    cid: Cid
    size_bytes: int
    tsize_bytes: int
    height: int = 0


@dataclass(slots=True)
class ImportBatch:
    """``put``, ``put_all`` and ``put_leaf`` run in worker threads, several at a time; the others
    on the loop.  ``progress`` gets the content bytes done so far.
    With ``lent`` the leaves of files stay where they are."""

    disk: Disk
    profile: Profile
    batch: Batch
    progress: Callable[[int], None]
    lent: LentBlocks | None = None
    manner: Manner = field(default_factory=Manner)
    done_bytes: int = 0
    ahead: Ahead | None = None
    written_bytes: int = 0  # of all blocks put, those of directories too
    committed_bytes: int = 0  # of them
    uncommitted_blocks: int = 0
    counting: threading.Lock = field(default_factory=threading.Lock)

    def put(self, block: Block) -> None:
        """Raises NoRoom, HomeUnusable."""
        self.put_all((block,))

    def put_all(self, blocks: Sequence[Block]) -> None:
        """Raises as ``put``."""
        pairs = [(block.cid, block.data) for block in blocks]
        write_blocks(self.disk.store, self.batch, pairs)
        with self.counting:
            self.written_bytes += sum(max(len(data), COUNTED_MIN_BYTES) for _, data in pairs)
            self.uncommitted_blocks += len(pairs)

    def put_leaf(self, chunk: bytes, path: tuple[str, ...], offset: int) -> tuple[Cid, int]:
        """The leaf that carries ``chunk``, which stands in the file ``path`` at ``offset``, and how
        long that is."""
        leaf = self.profile.leaf(chunk)
        if not self._lends(leaf.cid, path, offset, len(chunk)):
            self.put(leaf)
        return leaf.cid, len(chunk)

    def _lends(self, leaf: Cid, path: tuple[str, ...], offset: int, size_bytes: int) -> bool:
        """Whether a leaf stays in its file."""
        if self.lent is None or not self.profile.raw_leaves:
            return False
        self.lent.lend(leaf, (*self.manner.above, *path), offset, size_bytes)
        return True

    def put_small(
        self, data: bytes, path: tuple[str, ...], metadata: Metadata | None = None
    ) -> Imported:
        """The whole file ``path``, of one leaf."""
        imported, blocks = self.small(data, path, metadata)
        self.put_all(blocks)
        return imported

    def small(
        self, data: bytes, path: tuple[str, ...], metadata: Metadata | None = None
    ) -> tuple[Imported, Sequence[Block]]:
        """The same, with the blocks that are to be put."""
        leaf, size_bytes = self.profile.leaf(data), len(data)
        if metadata is None:
            blocks = () if self._lends(leaf.cid, path, 0, size_bytes) else (leaf,)
            return Imported(leaf.cid, size_bytes, self.profile.leaf_bytes(size_bytes)), blocks
        builder = FileBuilder(self.profile)
        builder.add_leaf(leaf.cid, size_bytes)
        root = builder.finish(metadata, data)
        imported = Imported(root.cid, root.size_bytes, root.tsize_bytes, root.height)
        return imported, root.blocks

    async def stage(self, blocks: Sequence[Block]) -> None:
        """Put blocks, in a worker thread; commit when a group is full."""
        if blocks:
            await self.disk.blocking.run(self.put_all, blocks)
            await self._commit_group()

    async def advance(self, size_bytes: int) -> None:
        """So much more content is staged; commit when a group is full."""
        self.done_bytes += size_bytes
        self.progress(self.done_bytes)
        await self._commit_group()

    async def _commit_group(self) -> None:
        if self.written_bytes - self.committed_bytes >= COMMIT_GROUP_BYTES:
            self.committed_bytes, self.uncommitted_blocks = self.written_bytes, 0
            await self.disk.blocking.run(self.batch.commit)
        await self.begin()

    async def begin(self) -> None:
        """Before the first, and after each that was staged."""
        if self.ahead is not None:
            await self.ahead(self.written_bytes, self.uncommitted_blocks)
