"""What stands on the disk is believed only if nobody else can have made or changed it."""

from __future__ import annotations

import os
import shlex
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
    if stat.S_ISLNK(status.st_mode):
        raise a_link(path)
    if not stat.S_ISREG(status.st_mode):
        raise HomeUnusable(f"{path} is not a file: move it away")
    if status.st_nlink > 1:
        here, new = _quoted(path), _quoted(path, ".new")
        raise HomeUnusable(
            f"{path} has another name somewhere, by which it could be changed:"
            f" `cp -p {here} {new} && mv {new} {here}`"
        )
    _check_owner(path, status, f"chmod -R go-w {_quoted(path.parent)}")


def check_directory(path: Path) -> None:
    """Raises HomeUnusable unless only we can put something there, OSError if it cannot be asked;
    links are followed."""
    status, here = path.stat(), _quoted(path)
    mend = f"chmod go-w {here}"
    if status.st_uid != os.geteuid():  # root's, as that of a disk just made: all of it must be ours
        mend = f"sudo chown {os.geteuid()} {here} && {mend}"
    _check_owner(path, status, mend)


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


def _check_owner(path: Path, status: os.stat_result, mend: str) -> None:
    if status.st_uid not in (os.geteuid(), _ROOT_UID):
        raise HomeUnusable(
            f"{path} belongs to another user: if what is in it is yours,"
            f" `sudo chown -R {os.geteuid()} {_quoted(path)}`"
        )
    if status.st_mode & _OTHERS_WRITE:
        raise HomeUnusable(f"{path} can be written by other users: if they did not, `{mend}`")


def a_link(path: Path) -> HomeUnusable:
    """What to say of a link in place of a file."""
    here = _quoted(path)
    return HomeUnusable(
        f"{path} is a link, and would be what somebody makes of its target: to have the file itself"
        f' there, `cp -p --remove-destination -- "$(readlink -f {here})" {here}`'
    )


def _quoted(path: Path, suffix: str = "") -> str:
    return shlex.quote(f"{path}{suffix}")
