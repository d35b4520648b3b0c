"""Reading what is put: one file by descriptor, or a directory tree relative to one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from dhtstore.errors import DhtstoreError, SourceChanged, UnreadableSource
from dhtstore.model.names import name_of
from dhtstore.params import CHUNK_SIZE_BYTES, TREE_LEVELS_MAX
from dhtstore.store.disk import close_quietly
from dhtstore.store.files.names import listed, on_disk, readable


class FileSource:
    """A regular file that must not change while it is put.  Owns ``fd``.

    ``size_bytes`` is what the file system says: procfs says 0 of everything, sysfs a page.
    """

    def __init__(self, fd: int, name: str = "the file", path: tuple[str, ...] = ()) -> None:
        """``path`` is where it is in the tree that is put.  Raises UnreadableSource, and closes
        ``fd``, for anything but a regular file."""
        self._fd = fd
        self._name, self.path = name, path
        try:
            self.look()
            if not stat.S_ISREG(self._looked.st_mode):
                raise UnreadableSource(f"{name} is not a regular file")
        except DhtstoreError:
            self.close()
            raise
        if self.size_bytes > CHUNK_SIZE_BYTES:
            with suppress(OSError):  # it is advice
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def look(self) -> None:
        """Take the file for what it is now: from here on it must not change.

        Raises UnreadableSource when the disk fails."""
        self._looked = self._status()
        self.size_bytes = self._looked.st_size

    def read(self, offset: int, count: int) -> bytes:
        """Exactly the bytes that stand there, fewer only at the end of the file.

        Raises SourceChanged if the file does not end where its size says, UnreadableSource when
        the disk fails.
        """
        wanted = min(count, self.size_bytes - offset)
        beyond = int(offset + wanted == self.size_bytes)  # a byte that must not be there
        data = self.read_on(offset, wanted + beyond)
        if len(data) != wanted:
            raise SourceChanged(f"{self._name} is not as long as it was when it was opened")
        return data

    def read_on(self, offset: int, count: int) -> bytes:
        """The bytes that stand there, fewer only where the file ends, whatever its size says.

        Raises UnreadableSource when the disk fails.
        """
        try:
            data = os.pread(self._fd, count, offset)
            while len(data) < count:
                more = os.pread(self._fd, count - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise _unreadable(self._name, error) from error
        return data

    def read_at(self, path: tuple[str, ...], offset: int, count: int) -> bytes:
        """As ``read_on``; a file has no paths in it."""
        return self.read_on(offset, count)

    def read_whole(self, limit_bytes: int) -> bytes | None:
        """All of it, to its end; None if that is more than ``limit_bytes``.

        Read again once if it changed meanwhile; raises SourceChanged if it did then, too.
        """
        try:
            return self._read_whole(limit_bytes)
        except SourceChanged:
            self.look()
            return self._read_whole(limit_bytes)

    def check_unchanged(self) -> None:
        """Raises SourceChanged if it was written to or resized since it was looked at.

        Nobody can set the time of the last change of an inode (ctime) back.
        """
        if _state(self._status()) != _state(self._looked):
            raise SourceChanged(f"{self._name} changed while it was read")

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            close_quietly(self._fd)
            self._fd = -1

    def _status(self) -> os.stat_result:
        try:
            return os.fstat(self._fd)
        except OSError as error:
            raise _unreadable(self._name, error) from error

    def _read_whole(self, limit_bytes: int) -> bytes | None:
        data = self.read_on(0, min(self.size_bytes, limit_bytes) + 1)
        if len(data) > self.size_bytes:  # the size was no more than a hint
            data += self.read_on(len(data), limit_bytes + 1 - len(data))
        self.check_unchanged()
        return data if len(data) <= limit_bytes else None


def _state(status: os.stat_result) -> tuple[object, ...]:
    """What differs when something was changed: mode, inode, device, links, owners and size come
    first in a status."""
    return status[:7], status.st_mtime_ns, status.st_ctime_ns


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
        try:
            is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        except OSError as error:
            self.close()
            raise _unreadable(name, error) from error
        if not is_directory:
            self.close()
            raise UnreadableSource(f"{name} is not a directory")

    def entries(self) -> Iterator[SourceEntry]:
        """Everything below, sorted by name within a directory, a directory before its content.

        Raises UnreadableSource for what cannot be read or is no file, directory or link, and
        SourceChanged for what vanished or a directory that changed each time it was listed.
        """
        yield from self._below(self._open((), _DIRECTORY), ())

    def open(self, path: tuple[str, ...]) -> FileSource:
        """A file of the tree, one at a time.  Raises UnreadableSource, SourceChanged if gone."""
        return FileSource(self._open(path, os.O_RDONLY | os.O_NONBLOCK), self._label(path), path)

    def read_at(self, path: tuple[str, ...], offset: int, count: int) -> bytes:
        """What stands in a file of the tree now.  Raises UnreadableSource, SourceChanged if it is
        gone."""
        file = self.open(path)
        try:
            return file.read_on(offset, count)
        finally:
            file.close()

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            close_quietly(self._fd)
            self._fd = -1

    def _below(self, fd: int, path: tuple[str, ...]) -> Iterator[SourceEntry]:
        """Owns ``fd``, which is closed before descending: depth costs no descriptors."""
        if len(path) >= TREE_LEVELS_MAX:
            close_quietly(fd)
            raise UnreadableSource(
                f"{self._label(path)} is one directory too deep: a tree has at most"
                f" {TREE_LEVELS_MAX} levels of them"
            )
        try:
            found = self._listed(fd, path)
        finally:
            close_quietly(fd)
        for entry in found:
            yield entry
            if entry.kind == "directory":
                yield from self._below(self._open(entry.path, _DIRECTORY), entry.path)

    def _listed(self, fd: int, path: tuple[str, ...]) -> list[SourceEntry]:
        """All of a directory as it was at one moment; listed again once if it changed."""
        try:
            return self._listed_once(fd, path)
        except SourceChanged:
            return self._listed_once(fd, path)

    def _listed_once(self, fd: int, path: tuple[str, ...]) -> list[SourceEntry]:
        try:
            before = os.fstat(fd)
            found = [self._entry(fd, path, raw) for raw in listed(fd)]
            if _state(os.fstat(fd)) != _state(before):
                raise SourceChanged(f"{self._label(path)} changed while it was listed")
        except OSError as error:
            raise _unreadable(self._label(path), error) from error
        return found

    def _entry(self, fd: int, parent: tuple[str, ...], raw: bytes) -> SourceEntry:
        label = self._label((*parent, readable(raw)))
        path = (*parent, name_of(raw))
        try:
            status = os.stat(raw, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                return SourceEntry(path, "file", status.st_size)
            if stat.S_ISDIR(status.st_mode):
                return SourceEntry(path, "directory")
            if stat.S_ISLNK(status.st_mode):
                return SourceEntry(path, "symlink", target=name_of(os.readlink(raw, dir_fd=fd)))
        except OSError as error:
            raise _unreadable(label, error) from error
        raise UnreadableSource(f"{label} is neither a file, a directory nor a link")

    def _open(self, path: tuple[str, ...], flags: int) -> int:
        """Open step by step, so that no directory on the way may turn into a link."""
        try:
            fd = os.dup(self._fd)
            for name in path[:-1]:
                fd = _step(fd, name, _DIRECTORY)
            return _step(fd, path[-1], flags) if path else fd
        except OSError as error:
            raise _unreadable(self._label(path), error) from error

    def _label(self, path: tuple[str, ...]) -> str:
        return "/".join((self._name, *path))


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


def _step(fd: int, name: str, flags: int) -> int:
    """Open ``name`` in the directory ``fd``, which is closed either way."""
    try:
        return os.open(on_disk(name), flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    finally:
        close_quietly(fd)


def _unreadable(name: str, error: OSError) -> DhtstoreError:
    if isinstance(error, FileNotFoundError):  # it was there when it was listed
        return SourceChanged(f"{name} vanished while it was put")
    return UnreadableSource(f"cannot read {name}: {error.strerror or error}")
