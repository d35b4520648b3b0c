"""The recorder's workload, watched as the laboratory watches its disks, to hold one against the
other: ``python -m tests.crash.watched ROOT OUT SEED STEPS`` with the recorder loaded."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from simulations.world.files.changes import FileChange
from simulations.world.files.folders import WatchedFolders
from simulations.world.files.sqlite_vfs import sqlite_shim
from simulations.world.files.system_calls import SystemCalls
from simulations.world.files.write_cache import WriteCache
from tests.crash.workload import work


class _NotingCache(WriteCache):
    """Keeps what it was told."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.told: list[FileChange] = []

    def do(self, change: FileChange) -> None:
        self.told.append(change)
        super().do(change)


def watch(root: Path, seed: int, steps: int) -> list[FileChange]:
    """All that the workload did below ``root``."""
    folders = WatchedFolders(root.parent)
    folder = folders.add(root.name, lambda: 1 << 40)
    folder.cache = noting = _NotingCache(root)
    with SystemCalls(folders).in_place(), sqlite_shim().default(folders):
        work(root, seed, 1, steps, lambda text: None)
    return noting.told


def main(root: str, out: str, *numbers: str) -> None:
    seed, steps = map(int, numbers)
    Path(out).write_bytes(pickle.dumps(watch(Path(root), seed, steps)))


if __name__ == "__main__":
    main(*sys.argv[1:])
