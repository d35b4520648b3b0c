"""What the crash tests run in a process of its own, to be killed at any moment.

Prints a line for each commit that was acknowledged.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path

from dhtstore.content.dag.walk import File, Leaf, Piece
from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.writing import staged_rows
from dhtstore.store.blocks.writing.disk_batch import DiskBatch
from dhtstore.store.files.output import FileOutput

PIECE_BYTES = 200_000
PIECES = 100


def block(number: int) -> tuple[Cid, bytes]:
    rng = random.Random(number)
    data = rng.randbytes(rng.choice((100, 5000, 100_000)))
    return Cid.of(data), data


def piece(number: int) -> bytes:
    return random.Random(number).randbytes(PIECE_BYTES)


def import_blocks(directory: Path, first: int) -> None:
    """Ten blocks a commit from two threads, every fifth batch discarded, some deleted."""
    store = DiskBlockStore(directory, None, pack_size_bytes=1_000_000)
    for start in range(first, first + 10_000, 10):
        with store.batch() as batch:
            halves = (range(start, start + 5), range(start + 5, start + 10))
            threads = [threading.Thread(target=_put, args=(batch, half)) for half in halves]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if start % 50:
                batch.commit()
                print(start, flush=True)


def import_whole(directory: Path, first: int) -> None:
    """Whole batches of ten blocks, most of them spilled, in several packs; a third discarded."""
    vars(staged_rows)["IN_MEMORY_MAX_ROWS"] = 3
    store = DiskBlockStore(directory, None, pack_size_bytes=100_000)
    for start in range(first, first + 10_000, 10):
        with store.batch(whole=True) as batch:
            for number in range(start, start + 10):
                batch.put(*block(number))
            print("staged", start, flush=True)
            if start % 30:
                batch.commit()
                print("kept", start, flush=True)


def _put(batch: DiskBatch, numbers: range) -> None:
    for number in numbers:
        batch.put(*block(number))


def write_output(directory: Path, seed: int) -> None:
    """The pieces of one file in random order, saved every few."""
    output = FileOutput(os.open(directory, os.O_RDONLY), "f", Cid.of(b"root"))
    numbers = list(range(PIECES))
    random.Random(seed).shuffle(numbers)
    output.accept([File((), PIECES * PIECE_BYTES)])
    for count, number in enumerate(numbers):
        leaf = Leaf((), number * PIECE_BYTES, PIECE_BYTES)
        if output.recall(leaf, Cid.of(piece(number))) is None:
            output.accept([Piece((), number * PIECE_BYTES, piece(number))])
        if count % 5 == 4:
            output.checkpoint()
            print(count, flush=True)
    output.finish()


def fill(directory: Path, first: int) -> None:
    """Put until the disk is full, then show that the store goes on."""
    store = DiskBlockStore(directory, None)
    number, full = first, False
    while not full:
        try:
            with store.batch() as batch:
                batch.put(*block(number))
                batch.commit()
            print(number, flush=True)
            number += 1
        except NoRoom:
            full = True
    for stored in range(first, number):
        assert store.get(block(stored)[0]) == block(stored)[1]
    assert store.count() == number - first
    print("full", flush=True)


if __name__ == "__main__":
    jobs = {
        "import": import_blocks,
        "whole": import_whole,
        "output": write_output,
        "fill": fill,
    }
    jobs[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
