"""What the crash tests run in a process of its own, to be killed at any moment.

Prints a line for each commit that was acknowledged.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from dhtstore.content.dag.walk import File, Leaf, Piece
from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.files.output import FileOutput

PIECE_BYTES = 200_000
PIECES = 100


def block(number: int) -> tuple[Cid, bytes]:
    rng = random.Random(number)
    data = rng.randbytes(rng.choice((100, 5000, 100_000)))
    return Cid.of(data), data


def piece(number: int) -> bytes:
    return random.Random(number).randbytes(PIECE_BYTES)


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
        "output": write_output,
        "fill": fill,
    }
    jobs[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
