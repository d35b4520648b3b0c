"""Files of the user as operations take them: opened here, with the user's own permissions."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from typing import Final, NamedTuple

from dhtstore.errors import TargetExists, TargetUnusable, TimedOut
from dhtstore.model.names import bytes_of, name_of

_READER_LOOK_S: Final = 0.05  # between looks whether somebody reads a FIFO: Ctrl-C works in between


class OpenedTarget(NamedTuple):
    """Where a get writes: an open directory, the name in it, and the path of both."""

    directory: int
    name: str
    path: Path


def open_target(path: str | os.PathLike[str], called: str, *, force: bool = False) -> OpenedTarget:
    """Where what is ``called`` so shall be written: at ``path``, or in it where that is a
    directory; a ``/`` at its end makes it one.  Raises TargetExists (unless ``force``: then it is
    replaced), TargetUnusable; all before a byte moves."""
    target = Path(path)
    if os.path.isdir(target):
        target = target / os.fsdecode(bytes_of(called))
    elif os.fspath(path).endswith("/"):
        _make_directory(target)
        target = target / os.fsdecode(bytes_of(called))
    if target.name in ("", ".."):
        raise TargetUnusable(f"{target} is no name for a file")
    if os.path.lexists(target) and not force:
        raise TargetExists(f"{target} exists already")
    try:
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unwritable(target.parent, error) from error
    if not os.access(target.parent, os.W_OK | os.X_OK):
        os.close(directory)
        raise TargetUnusable(f"cannot write into {target.parent}: Permission denied")
    return OpenedTarget(directory, name_of(os.fsencode(target.name)), target)


def takes_stream(path: str | os.PathLike[str]) -> bool:
    """Whether what is there takes bytes in order and keeps no name: a FIFO, or a device such as
    /dev/null or a terminal."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def open_stream(path: str | os.PathLike[str], *, wait: bool, timeout_s: float | None = None) -> int:
    """A FIFO or device, for writing.  Raises TargetUnusable where nobody reads a FIFO, unless to
    ``wait``: then TimedOut after ``timeout_s``."""
    give_up_s = None if timeout_s is None else time.monotonic() + timeout_s
    while (descriptor := _opened_stream(path)) is None:
        if not wait:
            raise TargetUnusable(f"cannot write to {os.fspath(path)}: nobody reads it")
        if give_up_s is not None and time.monotonic() >= give_up_s:
            raise TimedOut(f"nobody read {os.fspath(path)} within {timeout_s:g} s")
        time.sleep(_READER_LOOK_S)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        os.set_blocking(descriptor, wait)
        return descriptor
    os.close(descriptor)
    raise TargetUnusable(f"{os.fspath(path)} has become something else")


def _opened_stream(path: str | os.PathLike[str]) -> int | None:
    """None for a FIFO that nobody reads.  Raises TargetUnusable."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise TargetUnusable(f"cannot write to {os.fspath(path)}: {error.strerror}") from error


def _make_directory(path: Path) -> None:
    try:
        os.mkdir(path)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError | ValueError) -> TargetUnusable:
    failure = TargetUnusable(f"cannot write into {path}: {getattr(error, 'strerror', error)}")
    if isinstance(error, FileNotFoundError):
        return failure.hinted("make that directory before, or choose another path")
    return failure
