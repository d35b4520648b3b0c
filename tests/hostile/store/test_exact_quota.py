"""All files of the store together never pass the capacity by a byte, whatever is done: the quota is
not asked, the directory is."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks import staged_table
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.writing import staged_rows
from tests.sampling import files_bytes, sampled

CAPACITIES = (400 * KIB, 1_000_000, 2 * MIB)
SEEDS = int(os.environ.get("DHTSTORE_QUOTA_SEEDS", "2"))


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged_rows, "IN_MEMORY_MAX_ROWS", 200)
    monkeypatch.setattr(staged_table, "_AT_ONCE_ROWS", 300)


class Life:
    """What one store goes through, in an order that a number decides."""

    def __init__(self, directory: Path, capacity_bytes: int, seed: int) -> None:
        self.directory, self.capacity_bytes = directory, capacity_bytes
        self.rng = random.Random(seed)
        self.refused = 0
        self.puts = 0
        self.stored: list[Cid] = []
        self.store = self.opened()

    def opened(self) -> DiskBlockStore:
        return DiskBlockStore(self.directory, self.capacity_bytes, pack_size_bytes=200 * KIB)

    def blocks(self, count: int, size: int) -> Iterator[tuple[Cid, bytes]]:
        for _ in range(count):
            self.puts += 1
            if self.puts % 16 == 0 and self.store.capacity_bytes == self.capacity_bytes:
                self.check()
            data = self.rng.randbytes(size)
            yield Cid.of(data), data

    def step(self) -> None:
        """One thing; refused for want of room or done."""
        often = (self.put, self.put, self.receive, self.receive)
        doing = self.rng.choice((*often, self.delete, self.collect, self.change))
        try:
            doing()
        except NoRoom:
            self.refused += 1
        if self.rng.random() < 0.3:
            while self.store.settle():
                pass
        if self.rng.random() < 0.1:
            self.store.close()
            self.store = self.opened()
        self.check()

    def put(self) -> None:
        count, size = self.rng.choice(((1, 50_000), (20, 3000), (400, 10), (1, 10)))
        with self.store.batch() as batch:
            for cid, data in self.blocks(count, size):
                batch.put(cid, data)
                if self.rng.random() < 0.05:
                    batch.commit()
            if self.rng.random() < 0.9:
                batch.commit()
        self.stored = list(self.store.cids())

    def receive(self) -> None:
        count, size = self.rng.choice(((3, 30_000), (700, 20), (1500, 1)))
        room = self.store.reserve(count * (size + 128))
        try:
            with self.store.batch(room, whole=True) as batch:
                for cid in self.stored[: self.rng.choice((0, 0, 500))]:
                    with suppress(NoRoom):
                        batch.put(cid, self.store.read(cid))
                for cid, data in self.blocks(count, size):
                    batch.put(cid, data)
                if self.rng.random() < 0.7:
                    batch.commit()
        finally:
            room.release()
        self.stored = list(self.store.cids())

    def delete(self) -> None:
        self.rng.shuffle(self.stored)
        gone = self.rng.randrange(len(self.stored) + 1)
        self.store.delete(self.stored[:gone])
        self.stored = list(self.store.cids())

    def collect(self) -> None:
        """What is not drawn goes, and packs give back what it took."""
        kept = Kept()
        for cid in self.stored:
            if self.rng.random() < 0.6:
                kept.add(cid.multihash)
        after: bytes | None = b""
        while after is not None:
            after = self.store.sweep(kept, after).after
        compaction = self.store.compaction()
        try:
            while compaction.look() or compaction.step():
                self.check()
        finally:
            compaction.close()
        self.stored = list(self.store.cids())

    def change(self) -> None:
        """Less than is used for a moment: then nothing comes, and nothing goes."""
        self.store.set_capacity(self.store.used_bytes // 2)
        count = self.store.count()
        [(cid, data)] = self.blocks(1, 1000)
        with self.store.batch() as batch, pytest.raises(NoRoom):
            batch.put(cid, data)
        assert self.store.count() == count
        self.store.set_capacity(self.capacity_bytes)

    def check(self) -> None:
        """The books are never below the files, nor above the capacity."""
        files = files_bytes(self.directory)
        assert files <= self.store.used_bytes <= self.capacity_bytes, (files, self.store.space())


@pytest.mark.parametrize("capacity_bytes", CAPACITIES)
def test_the_files_never_pass_the_capacity(tmp_path: Path, capacity_bytes: int) -> None:
    """Sampled by a thread, and while blocks are put; at the end all of it can be deleted."""
    refused = 0
    for seed in range(SEEDS):
        directory = tmp_path / str(seed)
        directory.mkdir()
        with sampled(directory) as sampler:
            life = Life(directory, capacity_bytes, seed)
            for _ in range(25):
                life.step()
            life.store.delete(life.stored)
            while life.store.settle():
                pass
            life.check()
            assert life.store.count() == 0
            life.store.close()
        assert sampler.most_bytes <= capacity_bytes
        assert sampler.samples > 100
        refused += life.refused
    assert refused, "the capacity was reached"
