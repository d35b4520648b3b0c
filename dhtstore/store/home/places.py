"""Directories besides the homes of nodes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def free_bytes(path: Path) -> int:
    """What the file system there has left for us."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize
