"""Random histories of a disk store against a dictionary: put, commit, discard, delete,
move, reopen."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dhtstore.model.cid import Cid
from dhtstore.store.blocks import staged_table
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import ROW_BYTES
from dhtstore.store.blocks.writing import staged_rows
from dhtstore.store.blocks.writing.disk_batch import DiskBatch
from tests.books import booked
from tests.in_memory import base_in_memory
from tests.unit.store.emptying import blocks_of, empty_pack

NUMBERS = st.integers(0, 30)
SLOTS = st.integers(0, 2)
WHOLE_SLOT = 2


def block(number: int) -> tuple[Cid, bytes]:
    size = (0, 50, 3000, 70_000)[number % 4]
    data = number.to_bytes(2, "big") + random.Random(number).randbytes(size)
    return Cid.of(data), data


class StoreMachine(RuleBasedStateMachine):
    """Up to three open batches, the last of them whole; the packs are small, so that they rotate,
    and so is what of a whole batch is in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="dhtstore-model-", dir=base_in_memory()))
        self.committed: set[int] = set()
        self.batches: dict[int, DiskBatch] = {}
        self.staged: dict[int, set[int]] = {}
        self.memory = patch.object(staged_rows, "IN_MEMORY_MAX_ROWS", 4)
        self.memory.start()
        self.slices = patch.object(staged_table, "_AT_ONCE_ROWS", 3)
        self.slices.start()
        self.open()

    def open(self) -> None:
        self.store = DiskBlockStore(self.directory, None, pack_size_bytes=150_000)

    def teardown(self) -> None:
        self.memory.stop()
        self.slices.stop()
        self.store.close()
        shutil.rmtree(self.directory)

    @rule(slot=SLOTS, numbers=st.lists(NUMBERS, max_size=8))
    def put(self, slot: int, numbers: list[int]) -> None:
        if slot not in self.batches:
            whole = slot == WHOLE_SLOT
            self.batches[slot], self.staged[slot] = self.store.batch(whole=whole), set()
        for number in numbers:
            wrote = self.batches[slot].put(*block(number))
            assert wrote == (number not in self.committed or number in self.staged[slot])
            if wrote:
                self.staged[slot].add(number)

    @rule(slot=SLOTS, numbers=st.lists(NUMBERS, max_size=4))
    def put_anew(self, slot: int, numbers: list[int]) -> None:
        self.put(slot, numbers)
        for number in numbers:
            assert self.batches[slot].put(*block(number), anew=True)
            self.staged[slot].add(number)

    @rule(slot=SLOTS)
    def commit(self, slot: int) -> None:
        if slot in self.batches:
            self.batches[slot].commit()
            self.committed |= self.staged[slot]
            self.staged[slot] = set()
            if slot == WHOLE_SLOT:
                self.leave(slot)
                while self.store.settle():
                    pass

    @rule(slot=SLOTS)
    def leave(self, slot: int) -> None:
        if slot in self.batches:
            self.batches.pop(slot).close()
            del self.staged[slot]

    @precondition(lambda self: not self.batches)
    @rule(numbers=st.lists(NUMBERS, max_size=20))
    def delete(self, numbers: list[int]) -> None:
        self.store.delete([block(number)[0] for number in numbers])
        self.committed -= set(numbers)

    @rule(choice=st.integers(0, 20))
    def move(self, choice: int) -> None:
        """Empty some pack, unless an open batch writes to it."""
        packs = sorted(self.store._index.packs())
        if packs:
            empty_pack(self.store, packs[choice % len(packs)])

    @rule()
    def reopen(self) -> None:
        for slot in list(self.batches):
            self.leave(slot)
        self.store.close()
        self.open()

    @rule()
    def lose_index(self) -> None:
        """Everything committed is found again; what was deleted may be too."""
        self.reopen()
        self.store.close()
        for path in self.directory.glob("index.sqlite*"):
            path.unlink()
        self.open()
        back = [cid for cid in self.store.cids() if cid not in self.cids()]
        self.store.delete(back)

    def cids(self) -> set[Cid]:
        return {block(number)[0] for number in self.committed}

    @invariant()
    def holds_what_was_committed(self) -> None:
        assert self.store.count() == len(self.committed)
        assert set(self.store.cids()) == self.cids()
        for number in sorted(self.committed)[:3]:
            cid, data = block(number)
            assert self.store.get(cid) == data

    @invariant()
    def counts_each_pack_right(self) -> None:
        index = self.store._index
        for pack, state in index.packs().items():
            assert state.live == len(blocks_of(index, pack))

    @invariant()
    def accounts_exactly_when_idle(self) -> None:
        if not self.batches:
            files = sum(path.stat().st_size for path in self.directory.glob("*.pack"))
            assert booked(self.store) == files + ROW_BYTES * len(self.committed)


StoreMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, derandomize=True
)
TestBlockStoreModel = StoreMachine.TestCase
