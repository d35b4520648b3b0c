"""Writing a directory tree that is got.  Whatever the tree says, nothing outside is touched."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from dhtstore.content.dag.walk import Directory, File, Output, Piece, Symlink
from dhtstore.errors import DhtstoreError, IntegrityFailure, MalformedDag, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.disk import write_error, write_fully
from dhtstore.store.files.output import (
    CHECKPOINT_BYTES,
    allocate,
    check_target,
    open_journal,
    publish,
)
from dhtstore.store.files.spans import Spans

Path = tuple[str, ...]

_CHECKPOINT_FILES: Final = 4096
_OPEN_MAX: Final = 64  # descriptors of files, and of directories, kept open
_ALLOCATE_MIN_BYTES: Final = 1 << 20
_TWICE: Final = frozenset((errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP))
_SIZE: Final = struct.Struct("<Q")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TreeOutput:
    """One directory: ``name.part/`` and a journal of finished files until it is whole.

    Every name is opened relative to its parent's descriptor without following links.
    """

    def __init__(self, dir_fd: int, name: str, root: Cid) -> None:
        """Raises TargetUnusable if ``name`` exists, if the directory cannot be written, or if
        another process writes the same partial."""
        self._dir_fd = dir_fd
        self._name = name
        check_target(dir_fd, name)
        self._journal = open_journal(dir_fd, name, root)
        self._lock = threading.Lock()
        self._files: dict[Path, tuple[File, Spans]] = {}  # begun and not finished
        self._finished = dict(_parse(entry) for entry in self._journal.entries)  # earlier runs
        self._unsaved: list[File] = []
        self._unsaved_bytes = 0
        self._open: OrderedDict[Path, int] = OrderedDict()
        self._directories: OrderedDict[Path, int] = OrderedDict()
        try:
            self._fd = self._open_part()
        except BaseException as error:
            self._journal.close()  # and with it the lock that another try would meet
            if isinstance(error, OSError):
                raise TargetUnusable(f"cannot write {name}.part: {error.strerror}") from error
            raise

    def have(self, path: Path, size_bytes: int) -> bool:
        """Whether an earlier run finished this file."""
        return self._finished.get(path) == size_bytes

    def finished(self, path: Path) -> bool:
        """Whether an earlier run finished this file of the same tree."""
        return path in self._finished

    def accept(self, outputs: Sequence[Output]) -> None:
        with self._lock:
            for output in outputs:
                try:
                    self._accept(output)
                except OSError as error:
                    if error.errno in _TWICE:
                        text = f"{_text(output.path)} is in the tree twice"
                        raise MalformedDag(text) from error
                    raise write_error(error, _text(output.path), TargetUnusable) from error
            if self._unsaved_bytes >= CHECKPOINT_BYTES or len(self._unsaved) >= _CHECKPOINT_FILES:
                self._checkpoint()

    def finish(self) -> None:
        with self._lock:
            if self._files:
                raise IntegrityFailure(f"{_text(next(iter(self._files)))} is not whole yet")
            self._close_all()
            _sync_file_system(self._fd)
            publish(self._dir_fd, f"{self._name}.part", self._name)
            self._journal.remove()
            self._release()

    def close(self) -> None:
        with self._lock:
            if self._fd < 0:
                return
            # Without room for the journal, files since the last checkpoint are got again.
            with contextlib.suppress(DhtstoreError):
                self._checkpoint()
            self._close_all()
            with contextlib.suppress(OSError):  # not empty: something is there to resume
                os.rmdir(f"{self._name}.part", dir_fd=self._dir_fd)
                self._journal.remove()
            self._release()

    def _open_part(self) -> int:
        part = f"{self._name}.part"
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=self._dir_fd)
        fd = os.open(part, _DIRECTORY, dir_fd=self._dir_fd)
        if not self._journal.resumed:
            _empty(fd)
            self._journal.start()
        return fd

    def _accept(self, output: Output) -> None:
        if isinstance(output, Piece):
            self._write(output)
        elif isinstance(output, File):
            self._begin(output)
        elif isinstance(output, Directory):
            self._make_directory(output.path)
        else:
            self._link(output)

    def _make_directory(self, path: Path) -> None:
        if path:
            with contextlib.suppress(FileExistsError):
                os.mkdir(_checked(path), dir_fd=self._parent(path))
            self._directory(path)  # whatever stood there already is a directory

    def _link(self, link: Symlink) -> None:
        name = _checked(link.path)
        parent = self._parent(link.path)
        try:
            os.symlink(link.target, name, dir_fd=parent)
        except FileExistsError:
            if os.readlink(name, dir_fd=parent) != link.target:
                raise

    def _begin(self, file: File) -> None:
        if self.have(file.path, file.size_bytes):
            return
        name = _checked(file.path)
        if file.path in self._files:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        fd = os.open(name, _FILE | os.O_TRUNC, 0o666, dir_fd=self._parent(file.path))
        self._keep(self._open, file.path, fd)
        self._files[file.path] = (file, Spans())
        if file.size_bytes >= _ALLOCATE_MIN_BYTES:
            allocate(fd, file.size_bytes)
        self._finish_if_whole(file.path)

    def _write(self, piece: Piece) -> None:
        if piece.path in self._finished:
            return
        file, spans = self._files.get(piece.path, (None, None))
        end = piece.offset + len(piece.data)
        if file is None or spans is None or piece.offset < 0 or end > file.size_bytes:
            raise MalformedDag(f"a piece beyond the end of {_text(piece.path)}")
        write_fully(self._descriptor(piece.path), piece.offset, piece.data)
        spans.add(piece.offset, end)
        self._finish_if_whole(piece.path)

    def _finish_if_whole(self, path: Path) -> None:
        file, spans = self._files[path]
        if not spans.covers(0, file.size_bytes):
            return
        fd = self._descriptor(path)
        if file.mode is not None:
            os.fchmod(fd, file.mode & 0o777)
        os.close(self._open.pop(path))
        del self._files[path]
        self._unsaved.append(file)
        self._unsaved_bytes += file.size_bytes

    def _checkpoint(self) -> None:
        if not self._unsaved:
            return
        _sync_file_system(self._fd)
        self._journal.append(_entry(file) for file in self._unsaved)
        self._unsaved.clear()
        self._unsaved_bytes = 0

    def _descriptor(self, path: Path) -> int:
        fd = self._open.get(path)
        if fd is None:
            fd = os.open(path[-1], _FILE, dir_fd=self._parent(path))
            self._keep(self._open, path, fd)
        return fd

    def _parent(self, path: Path) -> int:
        return self._directory(path[:-1])

    def _directory(self, path: Path) -> int:
        """The descriptor of a directory of the tree, reached step by step from the top."""
        if not path:
            return self._fd
        fd = self._directories.get(path)
        if fd is None:
            fd = os.open(_checked(path), _DIRECTORY, dir_fd=self._directory(path[:-1]))
            self._keep(self._directories, path, fd)
        else:
            self._directories.move_to_end(path)
        return fd

    def _keep(self, kept: OrderedDict[Path, int], path: Path, fd: int) -> None:
        kept[path] = fd
        if len(kept) > _OPEN_MAX:
            os.close(kept.popitem(last=False)[1])

    def _close_all(self) -> None:
        for kept in (self._open, self._directories):
            while kept:
                os.close(kept.popitem()[1])

    def _release(self) -> None:
        os.close(self._fd)
        self._journal.close()
        self._fd = -1


def _checked(path: Path) -> str:
    """The last name of a path, which must be one plain name."""
    name = path[-1] if path else ""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise MalformedDag(f"{name!r} is no name for a file")
    return name


def _text(path: Path) -> str:
    return "/".join(path)


def _entry(file: File) -> bytes:
    return _SIZE.pack(file.size_bytes) + "\0".join(file.path).encode()


def _parse(entry: bytes) -> tuple[Path, int]:
    return tuple(entry[_SIZE.size :].decode().split("\0")), _SIZE.unpack_from(entry)[0]


def _empty(fd: int) -> None:
    """Remove everything below; never follows a link."""
    for name in os.listdir(fd):
        try:
            os.unlink(name, dir_fd=fd)
        except IsADirectoryError:
            below = os.open(name, _DIRECTORY, dir_fd=fd)
            try:
                _empty(below)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=fd)


def _sync_file_system(fd: int) -> None:
    """syncfs(2): one wait for any number of small files; sync(2) where there is none."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(fd) != 0:
        code = ctypes.get_errno()
        raise write_error(OSError(code, os.strerror(code)), "the directory", TargetUnusable)
