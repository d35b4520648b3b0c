"""Mode and time of modification of what is got, where the DAG tells them (UnixFS 1.5).

Bits that let a program run as somebody else, and the sticky one, are never set: strangers chose
them.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from dhtstore.store.disk import close_quietly

if TYPE_CHECKING:  # a command that asks a node names partials, and loads no DAGs
    from dhtstore.content.dag.walk import Mtime

MODE_RESTORED: Final = 0o777
_NO_MODE: Final = -1
_IN_MEMORY_BYTES: Final = 1 << 20
_LATER: Final = struct.Struct("<hqiI?")  # mode, seconds, nanoseconds, bytes of the path, is mtime
# What a file system says that cannot keep a mode or a time: it takes the rest all the same.
_NOT_KEPT: Final = frozenset(
    (errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL, errno.EOVERFLOW, errno.ERANGE)
)
Path = tuple[str, ...]


class Attributes(NamedTuple):
    """None: the DAG does not tell."""

    mode: int | None
    mtime: Mtime | None

    @property
    def told(self) -> bool:
        return self.mode is not None or self.mtime is not None

    def apply(self, fd: int) -> None:
        """To an open file or directory.  Raises OSError."""
        if self.mode is not None:
            with _where_kept():
                os.fchmod(fd, self.mode & MODE_RESTORED)
        if self.mtime is not None:
            with _where_kept():
                os.utime(fd, ns=_times(self.mtime))


def apply_to_link(dir_fd: int, name: bytes, mtime: Mtime | None) -> None:
    """To a symbolic link itself, which has a time and no mode.  Raises OSError."""
    if mtime is not None:
        with _where_kept():
            os.utime(name, ns=_times(mtime), dir_fd=dir_fd, follow_symlinks=False)


class LateAttributes:
    """Those that can only be given when all below is there, and not before, or a run that goes on
    could not: of directories, and of files that their owner may not read or write.

    They are kept out of memory when they are many: a tree may have millions of directories.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115

    def add(self, path: Path, attributes: Attributes) -> None:
        """Raises OSError."""
        if not attributes.told:
            return
        mode, mtime = attributes
        raw = "\0".join(path).encode()
        seconds, nanoseconds = mtime or (0, 0)
        told_mode = _NO_MODE if mode is None else mode & MODE_RESTORED
        self._file.write(raw)
        tail = _LATER.pack(told_mode, seconds, nanoseconds, len(raw), mtime is not None)
        self._file.write(tail)

    def apply(self, open_path: Callable[[Path], int]) -> None:
        """``open_path`` opens what is at a path.  Raises OSError."""
        for path, attributes in self.last_first():
            fd = open_path(path)
            try:
                attributes.apply(fd)
            finally:
                close_quietly(fd)

    def last_first(self) -> Iterator[tuple[Path, Attributes]]:
        """In the order in which none is given before those below it.  Raises OSError."""
        end = self._file.tell()
        while end:
            self._file.seek(end - _LATER.size)
            mode, seconds, nanoseconds, length, timed = _LATER.unpack(self._file.read(_LATER.size))
            end -= _LATER.size + length
            self._file.seek(end)
            names = self._file.read(length).decode()
            path = tuple(names.split("\0")) if names else ()
            mtime = (seconds, nanoseconds) if timed else None
            yield path, Attributes(None if mode == _NO_MODE else mode, mtime)

    def close(self) -> None:
        self._file.close()


def open_again(name: bytes, flags: int, dir_fd: int) -> int:
    """Open what an earlier run made, also where it had got a mode that does not let us: that is
    widened, and given again when all is there.  Never through a link.  Raises OSError."""
    try:
        return os.open(name, flags, dir_fd=dir_fd)
    except PermissionError:
        if not _widened(name, dir_fd):
            raise
    return os.open(name, flags, dir_fd=dir_fd)


def _widened(name: bytes, dir_fd: int) -> bool:
    """By a descriptor that needs no permission, so that nothing else can be meant."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        status = os.fstat(fd)
        ours = status.st_uid == os.geteuid()
        if not ours or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            return False
        wider = 0o700 if stat.S_ISDIR(status.st_mode) else 0o600
        os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(status.st_mode) | wider)
        return True
    finally:
        close_quietly(fd)


def _times(mtime: Mtime) -> tuple[int, int]:
    nanoseconds = mtime[0] * 10**9 + mtime[1]
    return nanoseconds, nanoseconds


@contextmanager
def _where_kept() -> Iterator[None]:
    try:
        yield
    except OverflowError:
        return  # a time beyond all calendars
    except OSError as error:
        if error.errno not in _NOT_KEPT:
            raise
