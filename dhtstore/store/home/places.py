"""Directories besides the homes of nodes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dhtstore.store.home.home import Home


@contextmanager
def temporary_home() -> Iterator[Home]:
    """A home for one command; removed with all in it afterwards."""
    with tempfile.TemporaryDirectory(prefix="dhtstore-", ignore_cleanup_errors=True) as path:
        yield Home(Path(path))


def free_bytes(path: Path) -> int:
    """What the file system there has left for us."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize
