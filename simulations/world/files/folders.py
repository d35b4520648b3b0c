"""Directories whose changes are seen, each with the write cache of its disk."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulations.world.files.changes import ChangeKind, FileChange
from simulations.world.files.write_cache import WriteCache


class WatchedFolder:
    """One directory.  ``stopped`` turns True at the change after which it was to stop; from then on
    nothing changes any more: whoever tries gets an OSError."""

    def __init__(self, directory: Path) -> None:
        """What lies in ``directory`` now is surely on the disk."""
        self.path = str(directory)
        self.cache = WriteCache(directory)
        self.stopped = False
        self._left: int | None = None

    def stop_after(self, changes: int | None) -> None:
        """At least one; None for never."""
        self._left = changes

    def check(self) -> None:
        """Raises OSError once it has stopped."""
        if self.stopped:
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.path)

    def did(self, change: FileChange) -> None:
        """It happened; raises OSError if it was the last."""
        self.cache.do(change)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.stopped = True
                self.check()

    def file(self, path: str, *, is_new: bool) -> WatchedFile:
        """One that was opened, and made by that if it ``is_new``."""
        inode = os.stat(path).st_ino
        if is_new:
            self.did(FileChange(ChangeKind.CREATED, inode, text=self._below(path)))
        return WatchedFile(self, path, inode)

    def unlinked(self, path: str) -> None:
        self.did(FileChange(ChangeKind.UNLINKED, 0, text=self._below(path)))

    def renamed(self, path: str, new: str) -> None:
        both = f"{self._below(path)}\n{self._below(new)}"
        self.did(FileChange(ChangeKind.RENAMED, 0, text=both))

    def synced_names(self, directory: str) -> None:
        """Of files that lie right in ``directory``."""
        self.did(FileChange(ChangeKind.SYNCED_NAMES, 0, text=self._below(directory)))

    def _below(self, path: str) -> str:
        return path[len(self.path) + 1 :]


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """Of a descriptor, or of SQLite."""

    folder: WatchedFolder
    path: str
    inode: int

    def did(self, kind: ChangeKind, at: int = 0, data: bytes = b"") -> None:
        """It happened; raises as ``WatchedFolder.did``."""
        self.folder.did(FileChange(kind, self.inode, at, data=data))


class WatchedFolders:
    """Those right below ``base``.  ``free_bytes`` tells what the disk of one has left."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._above = f"{base}/"
        self._by_name: dict[str, WatchedFolder] = {}
        self._free: dict[str, Callable[[], int]] = {}
        self.full = False  # the real disk below ``base``: what comes of it is no result

    def out_of_room(self) -> None:
        """The real disk is full: end the run, if one goes on."""
        self.full = True
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().stop()

    def add(self, name: str, free_bytes: Callable[[], int]) -> WatchedFolder:
        """Watch what is there, from now on."""
        folder = WatchedFolder(self.base / name)
        self._by_name[name], self._free[name] = folder, free_bytes
        return folder

    def drop(self, name: str) -> None:
        self._by_name.pop(name, None)
        self._free.pop(name, None)

    def of(self, path: str) -> WatchedFolder | None:
        """The one that ``path`` is or lies in."""
        if not path.startswith(self._above):
            return None
        return self._by_name.get(path[len(self._above) :].partition("/")[0])

    def free_bytes(self, path: str) -> int | None:
        """Of the disk that ``path`` lies on, if it is one of these."""
        if self.of(path) is None:
            return None
        return self._free[path[len(self._above) :].partition("/")[0]]()
