"""How long all files of a directory are together, looked up by a thread as fast as it can."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def files_bytes(directory: Path) -> int:
    """Of what has a name there just now; what goes while it is looked at counts nothing."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                total += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
    return total


class Sampler:
    """``most_bytes`` is the largest sum of ``samples``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.most_bytes, self.samples = 0, 0

    def look(self) -> None:
        self.most_bytes = max(self.most_bytes, files_bytes(self._directory))
        self.samples += 1


@contextmanager
def sampled(directory: Path) -> Iterator[Sampler]:
    """While it lasts."""
    sampler, over = Sampler(directory), threading.Event()

    def run() -> None:
        while not over.is_set():
            sampler.look()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sampler
    finally:
        over.set()
        thread.join()
    sampler.look()
