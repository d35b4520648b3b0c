"""A store beside a model of it: what is pinned, or is being put, is there whatever is collected,
compacted, lost in a crash or forbidden by a quota meanwhile.

``python -m tests.unit.store.collecting.model`` does 100,000 random operations on each store.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.compacting import compaction as compacting
from dhtstore.store.blocks.contract import Batch, BlockStore, Compaction, Protection
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from tests.in_memory import base_in_memory

NUMBERS = 400
PACK_BYTES = 256 * KIB
ENOUGH_BYTES = 24 * MIB
LOW_BYTES = MIB
SIZES = (0, 60, 3000, 30_000)


def block(number: int) -> tuple[Cid, bytes]:
    data = number.to_bytes(2, "big") + random.Random(number).randbytes(SIZES[number % len(SIZES)])
    return Cid.of(data), data


BLOCKS = [block(number) for number in range(NUMBERS)]


@dataclass
class Operation:
    """A put or a receive: guarded from before its first block until its pin is written."""

    guard: Protection
    batch: Batch
    whole: bool
    over: bool = False  # a whole batch is committed once
    staged: set[int] = field(default_factory=set)
    committed: set[int] = field(default_factory=set)


@dataclass
class Collection:
    """Marks are as old as its beginning."""

    kept: Kept
    after: bytes | None = b""
    late: list[Protection] = field(default_factory=list)  # of operations that ended meanwhile


class Model:
    """``again`` opens the same store after a crash; None where nothing outlives the process."""

    def __init__(
        self,
        rng: random.Random,
        store: BlockStore,
        again: Callable[[], BlockStore] | None,
        directory: Path | None,
    ) -> None:
        self.rng, self.store, self._again, self.directory = rng, store, again, directory
        self.pinned: set[int] = set()
        self.open: list[Operation] = []
        self.collection: Collection | None = None
        self.compaction: Compaction | None = None
        self.allowed_bytes = ENOUGH_BYTES  # the capacity, or what was used when it was lowered
        self.refused = self.swept = 0

    def step(self) -> None:
        some = (
            (self.begin, 2),
            (self.put, 8),
            (self.commit, 3),
            (self.end, 2),
            (self.unpin, 3),
            (self.collect, 6),
            (self.compact, 6),
            (self.lower, 0.1),
            (self.crash, 0.05 if self._again else 0),
            (self.lose_index, 0.03 if self._again else 0),
            (self.read, 4),
        )
        todo = self.rng.choices([each for each, _ in some], [weight for _, weight in some])[0]
        try:
            todo()
        except NoRoom:
            self.refused += 1
        assert self.store.used_bytes <= self.allowed_bytes + self._copied_bytes

    @property
    def _copied_bytes(self) -> int:
        """Of the pack that is compacted, what is there twice: that may be beyond a capacity which
        was lowered below what is used, since it frees more in a moment."""
        over = self.store.capacity_bytes != ENOUGH_BYTES and self.compaction is not None
        return min(self.compaction.copied_bytes, PACK_BYTES) if over and self.compaction else 0

    # --- what users do ----------------------------------------------------------------------

    def begin(self) -> None:
        if len(self.open) < 4:
            whole, guard = self.rng.random() < 0.3, self.store.protect()
            try:
                self.open.append(Operation(guard, self.store.batch(whole=whole), whole))
            except NoRoom:
                guard.close()
                raise

    def put(self) -> None:
        if self.open:
            operation = self.rng.choice(self.open)
            if operation.over:
                return
            for number in self.rng.sample(range(NUMBERS), self.rng.randint(1, 6)):
                operation.batch.put(*BLOCKS[number], anew=self.rng.random() < 0.1)
                operation.staged.add(number)

    def commit(self) -> None:
        if self.open:
            operation = self.rng.choice(self.open)
            if not operation.over:
                operation.batch.commit()
                operation.over = operation.whole
                operation.committed |= operation.staged

    def end(self) -> None:
        """With a pin of what was committed, or without."""
        if self.open:
            operation = self.open.pop(self.rng.randrange(len(self.open)))
            if self.rng.random() < 0.6:
                self.pinned |= operation.committed
            operation.batch.close()
            if self.collection is None:
                operation.guard.close()
            else:
                self.collection.late.append(operation.guard)

    def unpin(self) -> None:
        gone = [number for number in sorted(self.pinned) if self.rng.random() < 0.1]
        self.pinned.difference_update(gone)

    def read(self) -> None:
        there = sorted(self.pinned.union(*(each.committed for each in self.open)))
        for number in self.rng.sample(there, min(5, len(there))):
            cid, data = BLOCKS[number]
            assert self.store.get(cid) == data

    # --- what a node does by itself ---------------------------------------------------------

    def collect(self) -> None:
        if self.collection is None:
            kept = Kept()
            for number in self.pinned:
                kept.add(BLOCKS[number][0].multihash)
            self.collection = Collection(kept)
        elif self.collection.after is not None:
            step = self.store.sweep(self.collection.kept, self.collection.after)
            self.collection.after, self.swept = step.after, self.swept + step.blocks
        else:
            for guard in self.collection.late:
                guard.close()
            self.collection = None

    def compact(self) -> None:
        if self.compaction is None:
            self.compaction = self.store.compaction()
        elif not self.compaction.step() or self.rng.random() < 0.01:
            assert not self.compaction.damaged
            self.compaction.close()
            self.compaction = None

    def lower(self) -> None:
        capacity_bytes = self.rng.choice([LOW_BYTES, ENOUGH_BYTES])
        self.allowed_bytes = max(capacity_bytes, self.store.used_bytes)
        self.store.set_capacity(capacity_bytes)

    def crash(self) -> None:
        """What was committed and pinned is there again, and nobody is at work."""
        assert self._again is not None
        self.open.clear()
        self.collection = self.compaction = None
        crashed, self.store = self.store, self._again()
        crashed.close()  # of what it has not written nothing is written now
        self.allowed_bytes = max(ENOUGH_BYTES, self.store.used_bytes)

    def lose_index(self) -> None:
        """Its files are gone when the store is opened again; what was removed may be back."""
        assert self.directory is not None
        self.store.close()
        for path in self.directory.glob("index.sqlite*"):
            path.unlink()
        self.crash()
        assert self.store.rebuilt

    # --- what must hold ---------------------------------------------------------------------

    def check(self) -> None:
        if self.directory is not None:
            files_bytes = sum(path.stat().st_size for path in self.directory.iterdir())
            assert files_bytes <= self.store.used_bytes
        there = set(self.store.cids())
        needed = self.pinned.union(*(each.committed for each in self.open))
        missing = [number for number in sorted(needed) if BLOCKS[number][0] not in there]
        assert not missing
        for number in needed:
            cid, data = BLOCKS[number]
            assert self.store.get(cid) == data


def run(seed: int, operations: int, directory: Path | None) -> Model:
    """In a directory, or in memory."""

    def opened() -> BlockStore:
        if directory is None:
            return MemoryBlockStore(ENOUGH_BYTES)
        return DiskBlockStore(directory, ENOUGH_BYTES, pack_size_bytes=PACK_BYTES)

    model = Model(random.Random(seed), opened(), opened if directory else None, directory)
    try:
        with (
            patch.object(compacting, "_STEP_ROWS", 5),
            patch.object(compacting, "_MOVED_AT_ONCE", 3),
        ):
            for number in range(operations):
                model.step()
                if number % 50 == 0:
                    model.check()
        model.check()
    finally:
        model.store.close()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for name in ("memory", "disk"):
        with tempfile.TemporaryDirectory(dir=base_in_memory()) as directory:
            place = Path(directory) / "blocks" if name == "disk" else None
            model = run(asked.seed, asked.operations, place)
        told = f"{model.swept} blocks swept, {model.refused} refused, {len(model.pinned)} pinned"
        print(f"{name}: {asked.operations} operations, {told}: nothing kept was lost")


if __name__ == "__main__":
    main()
