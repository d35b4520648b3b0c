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
from dhtstore.store.blocks.write_block import write_block

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
        write_block(self.disk.store, self.batch, block.cid, block.data)
        with self.counting:
            self.written_bytes += max(len(block.data), COUNTED_MIN_BYTES)
            self.uncommitted_blocks += 1

    def put_all(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            self.put(block)

    def put_leaf(self, chunk: bytes, path: tuple[str, ...], offset: int) -> tuple[Cid, int]:
        """The leaf that carries ``chunk``, which stands in the file ``path`` at ``offset``, and how
        long that is."""
        leaf = self.profile.leaf(chunk)
        if self.lent is not None and self.profile.raw_leaves:
            self.lent.lend(leaf.cid, (*self.manner.above, *path), offset, len(chunk))
        else:
            self.put(leaf)
        return leaf.cid, len(chunk)

    def put_small(
        self, data: bytes, path: tuple[str, ...], metadata: Metadata | None = None
    ) -> Imported:
        """The whole file ``path``, of one leaf."""
        if metadata is None:
            cid, size_bytes = self.put_leaf(data, path, 0)
            return Imported(cid, size_bytes, self.profile.leaf_bytes(size_bytes))
        builder = FileBuilder(self.profile)
        builder.add_leaf(self.profile.leaf(data).cid, len(data))
        root = builder.finish(metadata, data)
        self.put_all(root.blocks)
        return Imported(root.cid, root.size_bytes, root.tsize_bytes, root.height)

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
