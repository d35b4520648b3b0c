"""Reading what is put: one file by descriptor, or a directory tree relative to one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dhtstore.errors import SourceChanged, UnreadableSource
from dhtstore.params import DAG_DEPTH_MAX


class FileSource:
    """A regular file that must not change while it is put.  Owns ``fd``."""

    def __init__(self, fd: int, name: str = "the file") -> None:
        """Raises UnreadableSource, and closes ``fd``, for anything but a regular file."""
        self._fd = fd
        self._name = name
        self._opened = os.fstat(fd)
        if not stat.S_ISREG(self._opened.st_mode):
            self.close()
            raise UnreadableSource(f"{name} is not a regular file")
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        self.size_bytes = self._opened.st_size
        self.mode = stat.S_IMODE(self._opened.st_mode)

    def read(self, offset: int, count: int) -> bytes:
        """Exactly the bytes that stand there, fewer only at the end the file had when opened.

        Raises SourceChanged when it shrank, UnreadableSource when the disk fails.
        """
        wanted = min(count, self.size_bytes - offset)
        try:
            data = os.pread(self._fd, wanted, offset)
            while len(data) < wanted:
                more = os.pread(self._fd, wanted - len(data), offset + len(data))
                if not more:
                    raise SourceChanged(f"{self._name} shrank while it was read")
                data += more
        except OSError as error:
            raise _unreadable(self._name, error) from error
        return data

    def check_unchanged(self) -> None:
        """Raises SourceChanged if it was written to or resized since it was opened."""
        now = os.fstat(self._fd)
        if (now.st_size, now.st_mtime_ns) != (self._opened.st_size, self._opened.st_mtime_ns):
            raise SourceChanged(f"{self._name} changed while it was read")

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One thing in a tree.  ``target`` is that of a symlink."""

    path: tuple[str, ...]
    kind: Literal["directory", "file", "symlink"]
    size_bytes: int = 0
    target: str = ""


class TreeSource:
    """A directory to put.  Links are never followed, so nothing outside it is read.

    Owns ``fd``; paths are relative to it.
    """

    def __init__(self, fd: int, name: str = "the directory") -> None:
        """Raises UnreadableSource, and closes ``fd``, unless it is a directory."""
        self._fd = fd
        self._name = name
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            self.close()
            raise UnreadableSource(f"{name} is not a directory")

    def entries(self) -> Iterator[SourceEntry]:
        """Everything below, sorted by name within a directory, a directory before its content.

        Raises UnreadableSource for what cannot be read or is no file, directory or link.
        """
        fd = os.dup(self._fd)
        return self._below(fd, ())

    def open(self, path: tuple[str, ...]) -> FileSource:
        """A file of the tree, one at a time.  Raises UnreadableSource."""
        return FileSource(self._open(path, os.O_RDONLY | os.O_NONBLOCK), self._label(path))

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _below(self, fd: int, path: tuple[str, ...]) -> Iterator[SourceEntry]:
        """Owns ``fd``, which is closed before descending: depth costs no descriptors."""
        try:
            names = sorted(os.listdir(fd), key=os.fsencode)
            found = [self._entry(fd, (*path, name)) for name in names]
        except OSError as error:
            raise _unreadable(self._label(path), error) from error
        finally:
            os.close(fd)
        if len(path) >= _DEPTH_MAX:
            raise UnreadableSource(f"{self._label(path[:3])}/... is nested too deeply")
        for entry in found:
            yield entry
            if entry.kind == "directory":
                yield from self._below(self._open(entry.path, _DIRECTORY), entry.path)

    def _entry(self, fd: int, path: tuple[str, ...]) -> SourceEntry:
        label = self._label(path)
        _check_name(path[-1], label)
        status = os.stat(path[-1], dir_fd=fd, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            return SourceEntry(path, "file", status.st_size)
        if stat.S_ISDIR(status.st_mode):
            return SourceEntry(path, "directory")
        if stat.S_ISLNK(status.st_mode):
            return SourceEntry(path, "symlink", target=os.readlink(path[-1], dir_fd=fd))
        raise UnreadableSource(f"{label} is neither a file, a directory nor a link")

    def _open(self, path: tuple[str, ...], flags: int) -> int:
        """Open step by step, so that no directory on the way may turn into a link."""
        fd = os.dup(self._fd)
        try:
            for name in path[:-1]:
                fd = _step(fd, name, _DIRECTORY)
            return _step(fd, path[-1], flags)
        except OSError as error:
            raise _unreadable(self._label(path), error) from error

    def _label(self, path: tuple[str, ...]) -> str:
        return "/".join((self._name, *path))


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_DEPTH_MAX = DAG_DEPTH_MAX - 1  # levels of directories: deeper trees could not be got back


def _step(fd: int, name: str, flags: int) -> int:
    """Open ``name`` in the directory ``fd``, which is closed either way."""
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    finally:
        os.close(fd)


def _check_name(name: str, label: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UnreadableSource(f"the name of {label!r} is not UTF-8") from error


def _unreadable(name: str, error: OSError) -> UnreadableSource:
    return UnreadableSource(f"cannot read {name}: {error.strerror or error}")
