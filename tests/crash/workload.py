"""What is recorded, or killed: a store and a ledger that are used as a node uses them.

Run as a program (DIRECTORY SEED FIRST STEPS) it has the recorder loaded, which takes its marks
(``history``).
"""

from __future__ import annotations

import ctypes
import random
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.signing import attach
from dhtstore.model.unit import Unit
from dhtstore.node.copies.kept import settle_pending
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.contract import Batch, Compaction
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.writing import staged_rows
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from tests.crash.history import block

PACK_BYTES: Final = 60_000
ROWS: Final = 7
OWNER: Final = b"O" * 32
Mark = Callable[[str], None]


def claim_on(number: int, blocks: Sequence[int]) -> Claim:
    """On a unit of these raw blocks, by an owner of ours."""
    roots = tuple(block(each)[0] for each in blocks)
    size_bytes = sum(len(block(each)[1]) for each in blocks)
    unit, top = Unit.of(roots, size_bytes), Cid.of(b"%d" % number).raw
    policy = attach(Policy(OWNER, top, 1, 3, 0, removed=False), b"s" * 64)
    raws = tuple(root.raw for root in roots)
    return Claim(unit.name, raws, unit.spine, size_bytes, len(roots), policy, size_bytes)


def row_key(number: int) -> bytes:
    return b"crash/%d" % number


class Workload:
    """Blocks have numbers from ``first`` on, each used once; claimed ones are never deleted."""

    def __init__(self, directory: Path, seed: int, first: int, mark: Mark) -> None:
        self._directory, self._rng, self._mark = directory, random.Random(seed), mark
        self._first = self._next = first
        self._loose: set[int] = set()  # kept, and claimed by nobody
        self._claimed: set[int] = set()
        self._values: dict[int, int] = {}
        self._open()

    def _open(self) -> None:
        blocks = self._directory / "blocks"
        self._store = DiskBlockStore(blocks, None, pack_size_bytes=PACK_BYTES)
        self._table = SqliteKeyValue(self._directory / "ledger.sqlite")
        self._claims = Claims(self._table, own=OWNER)
        settle_pending(self._claims, self._store)

    def run(self, steps: int) -> None:
        """The steps in any order; at the end a proper close."""
        jobs = [self._put] * 5 + [self._receive] * 5 + [self._write_row] * 4
        jobs += [self._renew] * 2 + [self._delete] * 2 + [self._sweep] * 2 + [self._compact] * 3
        jobs += [self._settle, self._reopen]
        for _ in range(steps):
            job = self._rng.choice(jobs)
            self._mark(f"at {job.__name__.strip('_')}")
            job()
        self._mark("at close")
        self._close()

    def _close(self) -> None:
        self._table.close()
        self._store.close()

    def _fresh(self, count: int) -> list[int]:
        self._next += count
        return list(range(self._next - count, self._next))

    def _say(self, word: str, numbers: Sequence[int]) -> None:
        if numbers:
            self._mark(f"{word} {' '.join(map(str, numbers))}")

    def _put(self) -> None:
        """A commit or two from two threads, or none."""
        with self._store.batch() as batch:
            for _ in range(self._rng.choice((0, 1, 1, 1, 2))):
                numbers = self._fresh(self._rng.randint(1, 8))
                _put_in_two(batch, numbers)
                self._say("commit", numbers)
                batch.commit()
                self._say("kept", numbers)
                self._loose |= set(numbers)
            _put_in_two(batch, self._fresh(2))  # these are given up

    def _receive(self) -> None:
        """A unit as a holder takes it: a whole batch, begun, committed, claimed, settled."""
        numbers, known = self._fresh(self._rng.randint(1, 12)), self._some(self._loose, 2)
        unit = [*numbers, *known]
        claim = claim_on(numbers[0], unit)
        with self._store.batch(whole=True) as batch:
            _put_in_two(batch, unit)
            if self._rng.random() < 0.2:
                return
            self._say("receive", numbers)
            self._claims.begin(claim, None)
            batch.commit()
            self._claims.put(claim)
            self._say("kept", numbers)
            self._say("claimed", [numbers[0], *unit])
        self._loose -= set(known)
        self._claimed |= set(unit)
        if self._rng.random() < 0.7:
            self._settle()

    def _settle(self) -> None:
        while self._store.settle():
            pass

    def _renew(self) -> None:
        """What has rotted is written anew."""
        with self._store.batch() as batch:
            for number in self._some(self._loose | self._claimed, 3):
                batch.put(*block(number), anew=True)
            batch.commit()

    def _delete(self) -> None:
        numbers = self._some(self._loose, self._rng.choice((1, 3, 20)))
        self._loose -= set(numbers)
        self._say("delete", numbers)
        self._store.delete([block(number)[0] for number in numbers])
        self._say("deleted", numbers)

    def _sweep(self) -> None:
        """Collect what nothing keeps, a step at a time, with a put in between."""
        numbers, kept = self._some(self._loose, self._rng.choice((1, 3, 20))), Kept()
        self._loose -= set(numbers)
        gone = {block(number)[0].multihash for number in numbers}
        for cid in self._store.cids():
            if cid.multihash not in gone:
                kept.add(cid.multihash)
        self._say("delete", numbers)
        with closing(self._store.protect()):
            self._put()
            after: bytes | None = b""
            while after is not None:
                after = self._store.sweep(kept, after).after
        self._say("deleted", numbers)

    def _compact(self) -> None:
        """Move what is live out of packs that are mostly dead, beside a put or two."""
        compaction = self._store.compaction()
        beside = threading.Thread(target=_compact_all, args=(compaction,))
        beside.start()
        self._put()
        beside.join()
        compaction.close()

    def _write_row(self) -> None:
        number = self._rng.randrange(ROWS)
        value = self._values[number] = self._values.get(number, self._first) + 1
        self._say("row", [number, value])
        self._table.write([(row_key(number), b"%d" % value)])
        self._say("written", [number, value])

    def _reopen(self) -> None:
        self._close()
        self._open()

    def _some(self, of: set[int], count: int) -> list[int]:
        return self._rng.sample(sorted(of), min(count, len(of)))


def _compact_all(compaction: Compaction) -> None:
    while compaction.look():
        pass
    while compaction.step():
        pass


def _put_in_two(batch: Batch, numbers: Sequence[int]) -> None:
    def put(some: Sequence[int]) -> None:
        for number in some:
            batch.put(*block(number))

    other = threading.Thread(target=put, args=(numbers[::2],))
    other.start()
    put(numbers[1::2])
    other.join()


def work(directory: Path, seed: int, first: int, steps: int, mark: Mark) -> None:
    vars(staged_rows)["IN_MEMORY_MAX_ROWS"] = 3  # most whole batches are spilled
    Workload(directory, seed, first, mark).run(steps)


def main(directory: str, *numbers: str) -> None:
    mark = ctypes.CDLL(None).crash_mark
    seed, first, steps = map(int, numbers)
    work(Path(directory), seed, first, steps, lambda text: mark(text.encode()))


if __name__ == "__main__":
    main(*sys.argv[1:])
