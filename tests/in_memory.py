"""Directories for tests that wait for the disk at each step and say nothing about it: what they
write is read by the same machine, so that it need not be on a disk that a power cut spares."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # a disk whose fsync costs nothing, where there is one


def base_in_memory() -> Path | None:
    """Where to make them; None, which is the usual place, where there is none in memory."""
    return MEMORY if os.access(MEMORY, os.W_OK) else None


@contextmanager
def directory_in_memory() -> Iterator[Path]:
    """One of its own, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="dhtstore-", dir=base_in_memory()) as directory:
        yield Path(directory)
