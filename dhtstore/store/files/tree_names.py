"""The names of a tree that is written: each made once, none outside, none through a link.

A file system may take two names for one (it folds case, normalises Unicode, cuts dots at the end).
So every name is made exclusively.  One that exists already is what an earlier run left, if it was
there when this run first looked, spelled just so; else it is another name of what this run made.
Numbers of files would not tell: on FUSE, README and readme of one file may differ in them.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from typing import Final
from unicodedata import normalize

from dhtstore.errors import DhtstoreError, MalformedDag, TargetUnusable
from dhtstore.model.names import quoted
from dhtstore.store.disk import close_quietly
from dhtstore.store.files.attributes import MODE_RESTORED, open_again
from dhtstore.store.files.names import listed, on_disk, readable
from dhtstore.store.files.partial import DIRECTORY_FLAGS

Path = tuple[str, ...]

OPEN_MAX: Final = 64  # descriptors of files, and of directories, kept open
_FILE_FLAGS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TreeNames:
    """Every name is opened relative to its parent's descriptor without following links.

    A name that stands for something of this run already raises TargetUnusable where that has
    another name, MalformedDag where it has the same.  Not thread-safe.
    """

    def __init__(self, fd: int, *, resumed: bool) -> None:
        """``fd`` is the directory of the tree, and stays the caller's; ``resumed`` if an earlier
        run may have left something in it."""
        self._fd = fd
        status = os.fstat(fd)
        self._owner, self._mode = status.st_uid, status.st_mode
        self._directories: OrderedDict[Path, int] = OrderedDict()
        self._left: dict[
            Path, set[bytes]
        ] = {}  # by directory: names of an earlier run, not met yet
        if resumed:
            self._look_into(())

    def make_directory(self, path: Path, mode: int | None = None) -> None:
        """``mode`` is what it gets when all is there, or had got when an earlier run ended."""
        name, parent = checked(path), self._parent(path)
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:
            left = self._leftover(path)
            if stat.S_ISDIR(left.st_mode):
                self._check_made_here(path, left, mode or 0)
                self._open_up(path, left)
                self._look_into(path)
            else:
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, dir_fd=parent)
        self._directory(path)

    def make_link(self, path: Path, target: str) -> tuple[int, bytes]:
        """Where it is: the directory, and its name there."""
        name, parent = checked(path), self._parent(path)
        try:
            os.symlink(on_disk(target), name, dir_fd=parent)
        except FileExistsError:
            self._leftover(path)
            os.unlink(name, dir_fd=parent)
            os.symlink(on_disk(target), name, dir_fd=parent)
        return parent, name

    def make_file(self, path: Path, *, keep: bool = False) -> tuple[int, bool]:
        """A file open for writing: a new one, or with ``keep`` that which an earlier run left;
        whether it is that."""
        name, parent = checked(path), self._parent(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE_FLAGS
        try:
            return os.open(name, flags, 0o666, dir_fd=parent), False
        except FileExistsError:
            if self._is_plain(self._leftover(path)) and keep:
                return self.open_file(path, os.O_WRONLY), True
            os.unlink(name, dir_fd=parent)
            return os.open(name, flags, 0o666, dir_fd=parent), False

    def open_file(self, path: Path, flags: int) -> int:
        return open_again(checked(path), _FILE_FLAGS | flags, self._parent(path))

    def open_any(self, path: Path) -> int:
        """A file or a directory, for reading."""
        return os.open(checked(path), _FILE_FLAGS | os.O_RDONLY, dir_fd=self._parent(path))

    def check_all_met(self) -> None:
        """Raises TargetUnusable if an earlier run, or somebody else, left what is not of this
        tree."""
        for path, names in self._left.items():
            text = path_text((*path, readable(min(names))))
            raise TargetUnusable(f"{text} in the partial is not of this tree: move it away")

    def close(self) -> None:
        while self._directories:
            close_quietly(self._directories.popitem()[1])

    def _parent(self, path: Path) -> int:
        return self._directory(path[:-1])

    def _directory(self, path: Path) -> int:
        """The descriptor of a directory of the tree, reached step by step from the top."""
        if not path:
            return self._fd
        fd = self._directories.get(path)
        if fd is None:
            fd = open_again(checked(path), DIRECTORY_FLAGS, self._directory(path[:-1]))
            keep_open(self._directories, path, fd)
        else:
            self._directories.move_to_end(path)
        return fd

    def _look_into(self, path: Path) -> None:
        if names := set(listed(self._directory(path))):
            self._left[path] = names

    def _leftover(self, path: Path) -> os.stat_result:
        """What an earlier run left under this name, which is met by that."""
        above, name = path[:-1], on_disk(path[-1])
        names = self._left.get(above, set())
        if name not in names:
            raise self._twice(path)
        names.remove(name)
        if not names:
            del self._left[above]
        return os.stat(name, dir_fd=self._parent(path), follow_symlinks=False)

    def _open_up(self, path: Path, status: os.stat_result) -> None:
        """What had got its mode has that of a new one again while it is filled."""
        if (status.st_mode ^ self._mode) & MODE_RESTORED:
            os.fchmod(self._directory(path), self._mode & MODE_RESTORED | 0o700)

    def _check_made_here(self, path: Path, status: os.stat_result, mode: int) -> None:
        """Raises TargetUnusable for a directory that somebody else could change at any time,
        unless it is to be so."""
        if status.st_uid != self._owner or status.st_mode & ~(self._mode | mode) & 0o022:
            raise TargetUnusable(f"{path_text(path)} in the partial is not ours: move it away")

    def _is_plain(self, status: os.stat_result) -> bool:
        alone = status.st_nlink == 1 and status.st_uid == self._owner
        return alone and stat.S_ISREG(status.st_mode)

    def _twice(self, path: Path) -> DhtstoreError:
        """Names both, if the file system keeps names as they were given."""
        name, parent = on_disk(path[-1]), self._parent(path)
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        others = [each for each in listed(parent) if _is_other_name(parent, each, name, status)]
        if not others:
            return MalformedDag(f"{path_text(path)} is in the tree twice")
        other = path_text((*path[:-1], readable(others[0])))
        return TargetUnusable(f"{path_text(path)} and {other} are one name to the file system here")


def _is_other_name(parent: int, listed_name: bytes, name: bytes, status: os.stat_result) -> bool:
    if listed_name == name:
        return False
    if _folded(listed_name) == _folded(name):
        return True
    return os.path.samestat(os.stat(listed_name, dir_fd=parent, follow_symlinks=False), status)


def _folded(name: bytes) -> str:
    return normalize("NFC", readable(name)).casefold().rstrip(". ")


def keep_open(kept: OrderedDict[Path, int], path: Path, fd: int) -> None:
    """Keep a descriptor, and close the one that was kept longest if they are too many."""
    kept[path] = fd
    if len(kept) > OPEN_MAX:
        close_quietly(kept.popitem(last=False)[1])


def checked(path: Path) -> bytes:
    """The last name of a path, on disk; raises MalformedDag unless it is one plain name."""
    name = path[-1] if path else ""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise MalformedDag(f"{quoted(name)} is no name for a file")
    return on_disk(name)


def path_text(path: Path) -> str:
    return "/".join(path)
