"""Reading a directory tree relative to the descriptor of its root."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal

from dhtstore.content.codec.unixfs import Metadata
from dhtstore.errors import DhtstoreError, SourceChanged, UnreadableSource
from dhtstore.model.names import name_of
from dhtstore.params import (
    FILE_NAME_MAX_BYTES,
    LISTED_AT_ONCE,
    PATTERN_STEPS_AT_ONCE,
    PATTERNS_MAX_BYTES,
    TREE_LEVELS_MAX,
)
from dhtstore.store.disk import close_quietly
from dhtstore.store.files.names import listed, on_disk
from dhtstore.store.files.sources.excluding import (
    IGNORE_FILE,
    NOTHING,
    Exclusion,
)
from dhtstore.store.files.sources.file import (
    FileSource,
    metadata_of,
    refusal,
    state,
    unreadable,
)

Path = tuple[str, ...]
PAUSE: Final = None  # between entries: enough was done at once
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_FILE = os.O_RDONLY | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One thing in a tree.  ``target`` is that of a link.  ``failure`` says why there is nothing
    to be had of it ("failed"), or less than there may be: then it stands before the entry itself.
    """

    path: Path
    kind: Literal["directory", "file", "symlink", "failed"]
    size_bytes: int = 0
    target: str = ""
    status: os.stat_result | None = field(default=None, compare=False, repr=False)
    failure: DhtstoreError | None = field(default=None, compare=False)

    @property
    def metadata(self) -> Metadata | None:
        return metadata_of(self.status) if self.status else None


class TreeSource:
    """A directory to put.  Links are never followed, so nothing outside it is read.

    Owns ``fd``; paths are relative to it.  ``exclusion`` is what to leave out.
    """

    def __init__(
        self, fd: int, name: str = "the directory", exclusion: Exclusion = NOTHING
    ) -> None:
        """Raises UnreadableSource, and closes ``fd``, unless it is a directory."""
        self._fd, self._exclusion = fd, exclusion
        self.name = name
        try:
            self._status = os.fstat(fd)
        except OSError as error:
            self.close()
            raise unreadable(name, error) from error
        if not stat.S_ISDIR(self._status.st_mode):
            self.close()
            raise refusal(name, "is not a directory")

    @property
    def metadata(self) -> Metadata:
        """Of the directory itself."""
        return metadata_of(self._status)

    def portions(self) -> Generator[list[SourceEntry]]:
        """Everything below in portions, of which each is little work; one may be empty.

        Sorted by name within a directory, a directory before its content.

        Where something cannot be read, is no file, directory or link, vanished or changed each
        time it was looked at, an entry says so.  Raises that of the root itself, and UsageError
        for a malformed pattern in a file of them, or patterns that make too much work.
        """
        portion: list[SourceEntry] = []
        for entry in self._below(SourceEntry((), "directory"), self._exclusion.begun()):
            if entry is not PAUSE:
                portion.append(entry)
            if entry is PAUSE or len(portion) >= LISTED_AT_ONCE:
                yield portion
                portion = []
        yield portion

    def entries(self) -> Generator[SourceEntry]:
        """Those of all portions."""
        for portion in self.portions():
            yield from portion

    def open(self, path: Path, near: Neighbours | None = None) -> FileSource:
        """A file of the tree, one at a time.  Raises UnreadableSource, SourceChanged if gone."""
        if near is None:
            return FileSource(self._open(path, _FILE), self.label(path), path)
        try:
            fd = os.open(on_disk(path[-1]), os.O_RDONLY | _PLAIN, dir_fd=near.directory(path[:-1]))
        except OSError as error:
            raise unreadable(self.label(path), error) from error
        return FileSource(fd, self.label(path), path)

    def neighbours(self) -> Neighbours:
        """For many files that are opened one after the other."""
        return Neighbours(self._directory)

    def read_at(self, path: Path, offset: int, count: int) -> bytes:
        """What stands in a file of the tree now.  Raises UnreadableSource, SourceChanged if it is
        gone."""
        file = self.open(path)
        try:
            return file.read_on(offset, count)
        finally:
            file.close()

    def label(self, path: Path) -> str:
        return "/".join((self.name, *path))

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            close_quietly(self._fd)
            self._fd = -1

    def _below(self, directory: SourceEntry, exclusion: Exclusion) -> Generator[SourceEntry | None]:
        """``directory``, if it can be listed, and what is in it."""
        path = directory.path
        try:
            found, changing, exclusion = yield from self._opened(path, exclusion)
        except (SourceChanged, UnreadableSource) as error:
            if not path:
                raise
            yield _failed(path, error)
            return
        if changing is not None:
            yield _failed(path, changing)
        if path:
            yield directory
        for entry in found:
            if entry.kind == "directory":
                yield from self._below(entry, exclusion)
            else:
                yield entry

    def _opened(
        self, path: Path, exclusion: Exclusion
    ) -> Generator[None, None, tuple[list[SourceEntry], DhtstoreError | None, Exclusion]]:
        """What is in a directory, whether it kept changing, and what to leave out below it.  Its
        descriptor is closed before anybody descends: depth costs none."""
        if len(path) >= TREE_LEVELS_MAX:
            levels = f"a tree has at most {TREE_LEVELS_MAX} levels of them"
            raise refusal(self.label(path), f"is one directory too deep: {levels}")
        fd = self._open(path, _DIRECTORY)
        try:
            exclusion = self._with_patterns_of(fd, path, exclusion)
            yield PAUSE
            found, changing = yield from self._listed(fd, path, exclusion)
            return found, changing, exclusion
        finally:
            close_quietly(fd)

    def _with_patterns_of(self, fd: int, path: Path, exclusion: Exclusion) -> Exclusion:
        """With those of the directory's own file of patterns, if it has one."""
        label = self.label((*path, IGNORE_FILE))
        try:
            file = os.open(IGNORE_FILE, os.O_RDONLY | _PLAIN, dir_fd=fd)
        except OSError:
            return exclusion  # if it is there and cannot be read, its entry says so
        try:
            source = FileSource(file, label)
        except UnreadableSource:
            return exclusion
        try:
            text = source.read_on(0, PATTERNS_MAX_BYTES + 1)
        finally:
            source.close()
        return exclusion.below(path, text, label)

    def _listed(
        self, fd: int, path: Path, exclusion: Exclusion
    ) -> Generator[None, None, tuple[list[SourceEntry], DhtstoreError | None]]:
        """All of a directory as it was at one moment; listed again once if it changed."""
        found, changed = yield from self._listed_once(fd, path, exclusion)
        if changed or any(isinstance(entry.failure, SourceChanged) for entry in found):
            return (yield from self._listed_once(fd, path, exclusion))
        return found, None

    def _listed_once(
        self, fd: int, path: Path, exclusion: Exclusion
    ) -> Generator[None, None, tuple[list[SourceEntry], DhtstoreError | None]]:
        found: list[SourceEntry] = []
        due = exclusion.effort.spent + PATTERN_STEPS_AT_ONCE
        try:
            before = os.fstat(fd)
            for looked_at, raw in enumerate(listed(fd), 1):
                entry = self._entry(fd, path, raw, exclusion)
                if entry is not None:
                    found.append(entry)
                if exclusion.effort.spent >= due or looked_at % LISTED_AT_ONCE == 0:
                    due = exclusion.effort.spent + PATTERN_STEPS_AT_ONCE
                    yield PAUSE
            changed = state(os.fstat(fd)) != state(before)
        except OSError as error:
            raise unreadable(self.label(path), error) from error
        why = "changed while it was listed: something in it may be missing"
        return found, refusal(self.label(path), why, SourceChanged) if changed else None

    def _entry(self, fd: int, parent: Path, raw: bytes, exclusion: Exclusion) -> SourceEntry | None:
        """None for what is left out."""
        path = (*parent, name_of(raw))
        try:
            status = os.stat(raw, dir_fd=fd, follow_symlinks=False)
            mode = status.st_mode
            if exclusion.excludes(path, stat.S_ISDIR(mode)):
                return None
            if len(raw) > FILE_NAME_MAX_BYTES:  # there are file systems that have them
                return _failed(path, refusal(self.label(path), "has too long a name"))
            if stat.S_ISREG(mode):
                return SourceEntry(path, "file", status.st_size, status=status)
            if stat.S_ISDIR(mode):
                return SourceEntry(path, "directory", status=status)
            if stat.S_ISLNK(mode):
                target = name_of(os.readlink(raw, dir_fd=fd))
                return SourceEntry(path, "symlink", target=target, status=status)
        except OSError as error:
            return _failed(path, unreadable(self.label(path), error))
        why = f"is neither a file, a directory nor a link but {_kind(mode)}"
        return _failed(path, refusal(self.label(path), why))

    def _open(self, path: Path, flags: int) -> int:
        try:
            fd = self._directory(path[:-1])
            return _step(fd, path[-1], flags) if path else fd
        except OSError as error:
            raise unreadable(self.label(path), error) from error

    def _directory(self, path: Path) -> int:
        """Open step by step, so that no directory on the way may turn into a link.  Raises
        OSError."""
        fd = os.dup(self._fd)
        for name in path:
            fd = _step(fd, name, _DIRECTORY)
        return fd


class Neighbours:
    """The directory of the file that was opened last stays open for those in it that come next.
    To be left."""

    def __init__(self, opened: Callable[[Path], int]) -> None:
        self._opened, self._fd, self._path = opened, -1, Path()

    def directory(self, path: Path) -> int:
        """Its descriptor, which is not the caller's.  Raises OSError."""
        if self._fd < 0 or self._path != path:
            self._leave()
            self._fd, self._path = self._opened(path), path
        return self._fd

    def __enter__(self) -> Neighbours:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._fd >= 0:
            close_quietly(self._fd)
            self._fd = -1


_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _step(fd: int, name: str, flags: int) -> int:
    """Open ``name`` in the directory ``fd``, which is closed either way."""
    try:
        return os.open(on_disk(name), flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    finally:
        close_quietly(fd)


def _failed(path: Path, why: DhtstoreError) -> SourceEntry:
    return SourceEntry(path, "failed", failure=why)


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for is_kind, name in kinds if is_kind(mode)), "something else")
