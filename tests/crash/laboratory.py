"""Disk images at random points of recorded workloads, each opened by the real store and ledger.

    python -m tests.crash.laboratory --images 1000 --seed 1

The first that is wrong ends it, and is told with its seed and number, which make it again.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from dhtstore.errors import DhtstoreError
from simulations.world.files.changes import ChangeKind, FileChange
from simulations.world.files.write_cache import Luck, WriteCache, write_image
from tests.crash import oracle, workload
from tests.crash.history import History
from tests.crash.recording import (
    COMPILER,
    build_recorder,
    record,
    work_directory,
)

STEPS: Final = 40  # of one recorded workload
IMAGES_EACH: Final = 50  # of one recording
CHAINED: Final = 4  # recordings of which one begins where a crash ended that before
FIRST_EACH: Final = 10_000  # numbers of blocks
_LUCK: Final = Luck(lost=0.5, torn=0.5)


@dataclass(frozen=True, slots=True)
class Tried:
    """One image; ``why`` says what was wrong with what the store made of it, "" for nothing."""

    seed: int
    number: int
    why: str


class Laboratory:
    """Recordings in ``where``, one after another: each begins with an image of the one before, so
    that what is recorded, and cut short, is also how a crash is recovered from."""

    def __init__(self, where: Path, library: Path, swallow: str = "") -> None:
        self._root, self._image, self._log = where / "home", where / "image", where / "log"
        self._library, self._swallow = library, swallow
        self._history = History()
        self._root.mkdir(mode=0o700, parents=True)

    def record(self, seed: int, images: int) -> Iterator[Tried]:
        """So many images at random points of one more recording."""
        disk, rng, first = WriteCache(self._root), random.Random(seed), seed * FIRST_EACH
        command = ["-m", workload.__name__, str(self._root), str(seed), str(first), str(STEPS)]
        entries = record(self._library, self._root, self._log, command, self._swallow)
        points = sorted(rng.randrange(len(entries) + 1) for _ in range(images))
        image: dict[str, bytes] = {}
        for number, (begin, point) in enumerate(pairwise((0, *points))):
            self._do(disk, entries[begin:point])
            image = disk.image(rng, _LUCK)
            yield Tried(seed, number, self._wrong(image, f"{point} of {len(entries)} changes"))
        shutil.rmtree(self._root)
        write_image(image, self._root)

    def _do(self, disk: WriteCache, entries: Sequence[FileChange]) -> None:
        for entry in entries:
            if entry.kind == ChangeKind.MARK:
                self._history.add(entry.text)
            disk.do(entry)

    def _wrong(self, image: dict[str, bytes], after: str) -> str:
        write_image(image, self._image)
        try:
            oracle.check(self._image, self._history)
        except (AssertionError, DhtstoreError, OSError) as error:
            return f"after {after}, in {self._history.at}: {error!r}"
        finally:
            shutil.rmtree(self._image)
        return ""


def try_images(seed: int, images: int, swallow: str = "") -> Iterator[Tried]:
    """So many images, of as many recordings as that takes; ends with the first that is wrong."""
    with tempfile.TemporaryDirectory(prefix="dhtstore-", dir=work_directory()) as name:
        where = Path(name).resolve()
        library = build_recorder(where)
        for number, begun in enumerate(range(0, images, IMAGES_EACH)):
            if number % CHAINED == 0:
                laboratory = Laboratory(where / str(number), library, swallow)
            for tried in laboratory.record(seed + number, min(images - begun, IMAGES_EACH)):
                yield tried
                if tried.why:
                    return


def main() -> int:
    parser = argparse.ArgumentParser(description="Open disk images of crashes.")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--swallow", default="", help="leave syncs out: .pack, -wal, .sqlite or /")
    chosen = parser.parse_args()
    if COMPILER is None:
        print("a C compiler is needed (cc)", file=sys.stderr)
        return 2
    began_s, count = time.process_time(), 0
    for count, tried in enumerate(try_images(chosen.seed, chosen.images, chosen.swallow), 1):  # noqa: B007
        if tried.why:
            print(f"seed {tried.seed}, image {tried.number}, {tried.why}")
            return 1
    took_ms = (time.process_time() - began_s) * 1000 / count
    print(f"{count} images of crashes, none wrong; {took_ms:.1f} ms of this process each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
