"""What Python changes in watched folders, told as it happens: stand-ins for functions of ``os``.

Those that the store does not use stand as they are.  What comes by them is not seen, and every
power cut takes it: an oversight here shows as a loss, never as safety.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from simulations.errors import NO_ROOM
from simulations.world.files.changes import ChangeKind
from simulations.world.files.folders import WatchedFile, WatchedFolders

_BLOCK_BYTES: Final = 4096
_WRITES: Final = os.O_WRONLY | os.O_RDWR


class SystemCalls:
    """The functions of ``os``, by which code in this process reaches ``folders``."""

    def __init__(self, folders: WatchedFolders) -> None:
        self._folders = folders
        self._files: dict[int, WatchedFile] = {}  # by descriptor
        self._directories: dict[int, str] = {}
        self._real: dict[str, Callable[..., Any]] = {}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Everybody's, within the block."""
        ours = {
            "open": self._open, "close": self._close, "pwrite": self._pwrite,
            "pwritev": self._pwritev, "write": self._write, "ftruncate": self._ftruncate,
            "fsync": self._fsync, "fdatasync": self._fdatasync, "unlink": self._unlink,
            "remove": self._unlink, "rename": self._rename, "replace": self._rename,
            "statvfs": self._statvfs,
        }  # fmt: skip
        real = {name: getattr(os, name) for name in ours}
        self._real = {name: partial(self._done, function) for name, function in real.items()}
        try:
            for name, function in ours.items():
                setattr(os, name, function)
            yield
        finally:
            for name, function in real.items():
                setattr(os, name, function)

    def _done(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except OSError as error:
            if error.errno in NO_ROOM:
                self._folders.out_of_room()
            raise

    def _open(self, path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        folder = self._folders.of(_text(path))
        if folder is None:
            return int(self._real["open"](path, flags, mode, **options))
        is_new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        if is_new:
            folder.check()
        fd = int(self._real["open"](path, flags, mode, **options))
        if flags & os.O_DIRECTORY:
            self._directories[fd] = _text(path)
        elif flags & _WRITES:
            self._files[fd] = folder.file(_text(path), is_new=is_new)
        return fd

    def _close(self, fd: int) -> None:
        self._files.pop(fd, None)
        self._directories.pop(fd, None)
        self._real["close"](fd)

    def _pwritev(self, fd: int, buffers: Sequence[Any], at: int, flags: int = 0) -> int:
        file = self._checked(fd)
        done = int(self._real["pwritev"](fd, buffers, at, flags))
        if file is not None:
            file.did(ChangeKind.WRITTEN, at, b"".join(buffers)[:done])
        return done

    def _pwrite(self, fd: int, data: Any, at: int) -> int:
        return self._pwritev(fd, [data], at)

    def _write(self, fd: int, data: Any) -> int:
        file = self._checked(fd)
        at = os.lseek(fd, 0, os.SEEK_CUR) if file is not None else 0
        done = int(self._real["write"](fd, data))
        if file is not None:
            file.did(ChangeKind.WRITTEN, at, bytes(data)[:done])
        return done

    def _ftruncate(self, fd: int, end: int) -> None:
        file = self._checked(fd)
        self._real["ftruncate"](fd, end)
        if file is not None:
            file.did(ChangeKind.CUT, end)

    def _fsync(self, fd: int) -> None:
        self._sync("fsync", fd)

    def _fdatasync(self, fd: int) -> None:
        self._sync("fdatasync", fd)

    def _sync(self, name: str, fd: int) -> None:
        file, directory = self._checked(fd), self._directories.get(fd, "")
        folder = self._folders.of(directory)
        if folder is not None:
            folder.check()
        self._real[name](fd)
        if file is not None:
            file.did(ChangeKind.SYNCED)
        elif folder is not None:
            folder.synced_names(directory)

    def _unlink(self, path: Any, **options: Any) -> None:
        folder = self._folders.of(_text(path))
        if folder is not None:
            folder.check()
        self._real["unlink"](path, **options)
        if folder is not None:
            folder.unlinked(_text(path))

    def _rename(self, path: Any, new: Any, **options: Any) -> None:
        folder = self._folders.of(_text(path))
        if folder is not None:
            folder.check()
        self._real["replace"](path, new, **options)
        if folder is not None:
            folder.renamed(_text(path), _text(new))

    def _statvfs(self, path: Any) -> os.statvfs_result:
        free_bytes = None if isinstance(path, int) else self._folders.free_bytes(_text(path))
        real: os.statvfs_result = self._real["statvfs"](path)
        if free_bytes is None:
            return real
        blocks = free_bytes // _BLOCK_BYTES
        told = list(real)
        told[:5] = [_BLOCK_BYTES, _BLOCK_BYTES, blocks, blocks, blocks]
        return os.statvfs_result(told)

    def _checked(self, fd: int) -> WatchedFile | None:
        """Raises OSError for one whose folder has stopped."""
        file = self._files.get(fd)
        if file is not None:
            file.folder.check()
        return file


def _text(path: Any) -> str:
    return "" if isinstance(path, int) else os.fsdecode(path)
