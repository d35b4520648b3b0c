"""Directories besides the homes of nodes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dhtstore.errors import HomeUnusable
from dhtstore.store.disk import write_error
from dhtstore.store.home.home import Home


@contextmanager
def temporary_home() -> Iterator[Home]:
    """A home for one command; removed with all in it afterwards.  Raises NoRoom, HomeUnusable."""
    try:
        directory = tempfile.TemporaryDirectory(prefix="dhtstore-", ignore_cleanup_errors=True)
    except OSError as error:
        raise write_error(error, f"a directory in {tempfile.gettempdir()}") from error
    with directory as path:
        yield Home(Path(path))


@dataclass(frozen=True, slots=True)
class DiskSize:
    """A file system: all that it can hold, and what it has left for us."""

    total_bytes: int
    free_bytes: int


def disk_of(home: Home) -> DiskSize:
    """Where the blocks of ``home`` lie, or will lie.  Raises HomeUnusable."""
    place = home.blocks if home.blocks.is_dir() else home.path
    try:
        status = os.statvfs(place)
    except OSError as error:
        raise HomeUnusable(f"cannot ask the disk of {place}: {error.strerror}") from error
    return DiskSize(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)
