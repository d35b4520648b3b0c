"""Writing what is got: a partial that can be resumed, and the target only when it is whole."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from dhtstore.content.dag.walk import File, Output, Piece
from dhtstore.errors import DhtstoreError, IntegrityFailure, MalformedDag, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.params import MIB
from dhtstore.store.disk import write_error, write_fully
from dhtstore.store.files.journal import Journal
from dhtstore.store.files.spans import Spans

CHECKPOINT_BYTES: Final = 64 * MIB  # at most this much is fetched again after a crash
_SPAN: Final = struct.Struct("<QQ")
_RENAME_NOREPLACE: Final = 1  # renameat2(2)


class FileOutput:
    """One file: ``name.part`` and its journal ``name.part.map`` until it is whole."""

    def __init__(self, dir_fd: int, name: str, root: Cid, *, force: bool = False) -> None:
        """Raises TargetUnusable if ``name`` exists (unless ``force``), if the directory cannot
        be written, or if another process writes the same partial."""
        self._dir_fd = dir_fd
        self._name = name
        self._force = force
        check_target(dir_fd, name, force=force)
        self._journal = open_journal(dir_fd, name, root)
        self._lock = threading.Condition()  # guards all below
        self._writing = 0  # threads that use the descriptor, which must not close under them
        self._size: int | None = None
        self._mode: int | None = None
        self._spans = Spans()
        self._unsaved: list[tuple[int, int]] = []
        self._unsaved_bytes = 0
        self._saving = threading.Lock()
        try:
            self._fd = self._open_part()
        except BaseException as error:
            self._journal.close()  # and with it the lock that another try would meet
            if isinstance(error, OSError):
                raise TargetUnusable(f"cannot write {name}.part: {error.strerror}") from error
            raise

    def have(self, offset: int, size_bytes: int) -> bool:
        """Whether these bytes were verified and written, now or by an earlier run."""
        with self._lock:
            return self._spans.covers(offset, offset + size_bytes)

    def accept(self, outputs: Sequence[Output]) -> None:
        """May be called from several threads.  Raises NoRoom (what is verified stays resumable)
        or MalformedDag."""
        for output in outputs:
            if isinstance(output, File):
                self._begin(output)
            elif isinstance(output, Piece):
                self._write(output)
            else:
                raise MalformedDag("a directory where a file was expected")

    def checkpoint(self) -> None:
        """Make what was accepted survive a crash.  Raises NoRoom."""
        with self._saving:
            with self._lock:
                spans, self._unsaved = self._unsaved, []
                self._unsaved_bytes = 0
            if not spans or self._fd < 0:
                return
            self._sync()
            merged = Spans()
            for span in spans:
                merged.add(*span)
            self._journal.append(_SPAN.pack(*span) for span in merged)

    def finish(self) -> None:
        """Make it durable and give it its name.  Raises IntegrityFailure if a part is missing,
        TargetUnusable if the name was taken meanwhile, NoRoom."""
        if self._size is None or not self.have(0, self._size):
            raise IntegrityFailure(f"{self._name} is not whole yet")
        try:
            os.ftruncate(self._fd, self._size)
            if self._mode is not None:
                os.fchmod(self._fd, self._mode & 0o777)
            os.fsync(self._fd)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error
        publish(self._dir_fd, f"{self._name}.part", self._name, force=self._force)
        self._journal.remove()
        self._release()

    def close(self) -> None:
        """Leave what is verified for the next try, or nothing if that is nothing."""
        if self._fd < 0:
            return
        if self._spans:
            # Without room for the journal, what came since the last checkpoint is got again.
            with contextlib.suppress(DhtstoreError):
                self.checkpoint()
        else:
            os.unlink(f"{self._name}.part", dir_fd=self._dir_fd)
            self._journal.remove()
        self._release()

    def _open_part(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(f"{self._name}.part", flags, 0o666, dir_fd=self._dir_fd)
        if not self._journal.resumed:
            os.ftruncate(fd, 0)
            self._journal.start()
        length = os.fstat(fd).st_size
        for entry in self._journal.entries:
            start, end = _SPAN.unpack(entry)
            if end <= length:
                self._spans.add(start, end)
        return fd

    def _begin(self, file: File) -> None:
        with self._lock:
            self._size, self._mode = file.size_bytes, file.mode
            try:
                if file.size_bytes > os.fstat(self._fd).st_size:
                    allocate(self._fd, file.size_bytes)
            except OSError as error:
                raise write_error(error, self._name, TargetUnusable) from error

    def _write(self, piece: Piece) -> None:
        end = piece.offset + len(piece.data)
        if self._size is None or piece.offset < 0 or end > self._size:
            raise MalformedDag("a piece beyond the end of its file")
        try:
            with self._in_use():
                write_fully(self._fd, piece.offset, piece.data)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error
        with self._lock:
            self._spans.add(piece.offset, end)
            self._unsaved.append((piece.offset, end))
            self._unsaved_bytes += len(piece.data)
            due = self._unsaved_bytes >= CHECKPOINT_BYTES
            if due:
                self._unsaved_bytes = 0  # this thread saves; the others go on
        if due:
            self.checkpoint()

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._lock:
            if self._fd < 0:
                raise TargetUnusable(f"{self._name} was closed while it was written")
            self._writing += 1
        try:
            yield
        finally:
            with self._lock:
                self._writing -= 1
                self._lock.notify_all()

    def _release(self) -> None:
        """A cancelled caller may have left a thread that still writes."""
        with self._saving, self._lock:
            self._lock.wait_for(lambda: self._writing == 0)
            os.close(self._fd)
            self._journal.close()
            self._fd = -1


def open_journal(dir_fd: int, name: str, root: Cid) -> Journal:
    """The journal of ``name.part``; a partial that has none is someone else's and stays.

    Raises TargetUnusable, NoRoom.
    """
    journal = Journal(dir_fd, f"{name}.part.map", root)
    try:
        if not journal.started:
            check_target(dir_fd, f"{name}.part")
            journal.start()  # first, so that no partial of ours is ever without one
    except DhtstoreError:
        journal.remove()
        journal.close()
        raise
    return journal


def check_target(dir_fd: int, name: str, *, force: bool = False) -> None:
    """Raises TargetUnusable unless ``name`` may come to be in this directory."""
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=dir_fd):
        raise TargetUnusable(f"cannot write {name}: its directory is not writable")
    try:
        existing = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        raise TargetUnusable(f"cannot write {name}: {error.strerror}") from error
    if not force or stat.S_ISDIR(existing.st_mode):
        raise TargetUnusable(f"{name} exists already")


def publish(dir_fd: int, part: str, name: str, *, force: bool = False) -> None:
    """Rename the partial to its name, which it never takes from another (unless ``force``)."""
    try:
        if force:
            os.rename(part, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        else:
            _rename_new(dir_fd, part, name)
        os.fsync(dir_fd)
    except FileExistsError as error:
        raise TargetUnusable(f"{name} came to be meanwhile; {part} is whole") from error
    except OSError as error:
        raise write_error(error, name, TargetUnusable) from error


def _rename_new(dir_fd: int, part: str, name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(libc, "renameat2", None)
    if renameat2 is not None:
        arguments = (dir_fd, os.fsencode(part), dir_fd, os.fsencode(name), _RENAME_NOREPLACE)
        if renameat2(*arguments) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):  # not on this file system, not in this kernel
            raise OSError(code, os.strerror(code))
    check_target(dir_fd, name)
    os.rename(part, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def allocate(fd: int, size_bytes: int) -> None:
    """Give the file its length, with room on the disk where the file system can promise it."""
    try:
        os.posix_fallocate(fd, 0, size_bytes)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.ftruncate(fd, size_bytes)
