"""Who uses a data directory: one node, or any number of commands that read what lies there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Final

from dhtstore.errors import HomeInUse, HomeUnusable
from dhtstore.store.disk import close_quietly
from dhtstore.store.ours import READ_FLAGS, a_link, check_file

_PID_BYTES: Final = 20  # of the lock file, filled up with spaces
_READERS_WAIT_S: Final = 5.0  # what a node waits for commands that read the home, but for `verify`
_READERS_LOOK_S: Final = 0.02


class HomeLock:
    """An flock that ends with the process at the latest.

    Alone, the file holds the pid; ``shared`` with others that only read, or add to the ledger."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        """Raises HomeInUse, which names the process that holds it alone, and HomeUnusable."""
        self._fd = _open_lock(path)
        try:
            self._take(path, shared)
        except BaseException:
            self.close()
            raise

    def _take(self, path: Path, shared: bool) -> None:
        if shared:
            if not self._try(fcntl.LOCK_SH):
                raise HomeInUse(f"{path.parent} is in use by process {self._holder()}")
            return
        give_up_s = time.monotonic() + _READERS_WAIT_S
        while not self._try(fcntl.LOCK_EX):
            if not self._try(fcntl.LOCK_SH):
                raise HomeInUse(f"{path.parent} is in use by process {self._holder()}")
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            if time.monotonic() >= give_up_s:
                raise HomeInUse(f"a command that needs no node reads {path.parent}").hinted(
                    "try again when it has ended"
                )
            time.sleep(_READERS_LOOK_S)
        with contextlib.suppress(OSError):  # who holds it is a hint: a full disk takes none
            os.pwrite(self._fd, f"{os.getpid()}\n".encode().ljust(_PID_BYTES), 0)

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _holder(self) -> str:
        try:
            holder = os.pread(self._fd, _PID_BYTES, 0).decode("ascii", "replace").strip()
        except OSError:
            holder = ""
        return holder or "unknown"

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            close_quietly(self._fd)
            self._fd = -1


def unusable(path: Path, error: Exception) -> HomeUnusable:
    """What the system said of a file or directory of the home."""
    if isinstance(error, OSError) and error.errno == errno.ELOOP:  # opened with O_NOFOLLOW
        return a_link(path)
    return HomeUnusable(f"cannot use {path}: {getattr(error, 'strerror', None) or error}")


def _open_lock(path: Path) -> int:
    """A lock needs no writing, only the file.  Raises HomeUnusable."""
    try:
        fd = _open_or_make(path)
    except OSError as error:
        raise unusable(path, error) from error
    try:
        check_file(path, os.fstat(fd))
    except (OSError, HomeUnusable) as error:
        close_quietly(fd)
        raise unusable(path, error) if isinstance(error, OSError) else error from None
    return fd


def _open_or_make(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, READ_FLAGS)
