"""Blocks of one import on their way into the store, committed in groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dhtstore.content.builders.importer import Profile
from dhtstore.model.block import Block
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.contract import Batch
from dhtstore.store.blocks.write_block import write_block

COMMIT_GROUP_BYTES = 256 * MIB  # what one fsync and one index transaction cover
COUNTED_MIN_BYTES = 4 * KIB  # of a leaf; others wait for a transaction, which has 65,536 at most


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
    on the loop.  ``progress`` gets the content bytes done so far, ``committed`` those of them that
    stay, whatever ends the import."""

    disk: Disk
    profile: Profile
    batch: Batch
    progress: Callable[[int], None]
    committed: Callable[[int], None] = lambda done_bytes: None
    done_bytes: int = 0
    uncommitted_bytes: int = 0

    def put(self, block: Block) -> None:
        """Raises NoRoom, HomeUnusable."""
        write_block(self.disk.store, self.batch, block.cid, block.data)

    def put_all(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            self.put(block)

    def put_leaf(self, chunk: bytes) -> tuple[Cid, int]:
        """The leaf of a file that carries ``chunk``, and how long that is."""
        leaf = self.profile.leaf(chunk)
        self.put(leaf)
        return leaf.cid, len(chunk)

    async def stage(self, blocks: Sequence[Block]) -> None:
        """Put blocks, in a worker thread."""
        if blocks:
            await self.disk.blocking.run(self.put_all, blocks)

    async def advance(self, size_bytes: int) -> None:
        """So much more content is staged; commit when a group is full."""
        self.done_bytes += size_bytes
        self.uncommitted_bytes += max(size_bytes, COUNTED_MIN_BYTES)
        self.progress(self.done_bytes)
        if self.uncommitted_bytes >= COMMIT_GROUP_BYTES:
            self.uncommitted_bytes, done_bytes = 0, self.done_bytes
            await self.disk.blocking.run(self.batch.commit)
            self.committed(done_bytes)
