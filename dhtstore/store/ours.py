"""What stands on the disk is believed only if nobody else can have made or changed it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from dhtstore.errors import HomeUnusable

_ROOT_UID: Final = 0  # may do anything anyway
_OTHERS_WRITE: Final = 0o022
READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO waits


def check_file(path: Path, status: os.stat_result) -> None:
    """Raises HomeUnusable unless ``status``, which followed no link, is of a file that we made and
    that has one name."""
    if not stat.S_ISREG(status.st_mode):
        raise HomeUnusable(f"{path} is not a file")
    if status.st_nlink > 1:
        raise HomeUnusable(f"{path} has another name somewhere: a copy of it would not")
    _check_owner(path, status)


def check_directory(path: Path) -> None:
    """Raises HomeUnusable unless only we can put something there, OSError if it cannot be asked;
    links are followed."""
    _check_owner(path, path.stat())


def check_if_there(path: Path) -> None:
    """As ``check_file``, of a file that may be missing.  Raises OSError."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    check_file(path, status)


def read_ours(path: Path) -> bytes | None:
    """What the file holds; None where there is none.  Raises HomeUnusable, OSError."""
    try:
        fd = os.open(path, READ_FLAGS)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        check_file(path, os.fstat(fd))
        return file.read()


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in (os.geteuid(), _ROOT_UID):
        raise HomeUnusable(f"{path} belongs to another user")
    if status.st_mode & _OTHERS_WRITE:
        raise HomeUnusable(f"{path} can be written by others: chmod go-w it, if they did not")
