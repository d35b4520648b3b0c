"""What stands beside a target until it is whole: a partial, and a journal of what is in it.

Neither is believed for its name: in a directory that others may write to, they could be anybody's.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from dhtstore.errors import DhtstoreError, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.params import MIB
from dhtstore.store.disk import close_quietly, write_error
from dhtstore.store.files.journal import Journal
from dhtstore.store.files.names import listed, on_disk

CHECKPOINT_BYTES: Final = 64 * MIB  # at most this much is fetched again after a crash
DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NAME_MAX_BYTES: Final = 255  # NAME_MAX of Linux; some of its file systems take less
_RENAME_NOREPLACE: Final = 1  # renameat2(2)


def _umask() -> int:
    """It can only be read by setting it: once, before there are threads."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


_UMASK: Final = _umask()


class Partial:
    """``name`` is the partial's, ``target`` that of the file or directory it becomes."""

    def __init__(self, dir_fd: int, target: str, root: Cid, *, force: bool = False) -> None:
        """Raises TargetUnusable if ``target`` exists (unless ``force``), if the directory cannot
        be written, if another process writes the same partial, or if partial or journal are not
        ours; NoRoom."""
        check_target(dir_fd, target, force=force)
        self.target, self.name = target, partial_name(dir_fd, target)
        self._dir_fd, self._force = dir_fd, force
        self.journal = self._open_journal(root)

    def open_file(self) -> int:
        """The descriptor of the file: that of an earlier run if its journal stands, else new."""
        try:
            fd = self._reopen(_FILE_FLAGS, stat.S_ISREG)
            if fd is None:
                self._start_anew()
                flags = _FILE_FLAGS | os.O_CREAT | os.O_EXCL
                fd = os.open(on_disk(self.name), flags, 0o666, dir_fd=self._dir_fd)
        except BaseException as error:
            raise self._unopened(error) from error
        return fd

    def open_directory(self) -> int:
        """The same for a directory."""
        try:
            fd = self._reopen(DIRECTORY_FLAGS, stat.S_ISDIR)
            if fd is None:
                self._start_anew()
                os.mkdir(on_disk(self.name), dir_fd=self._dir_fd)
                fd = os.open(on_disk(self.name), DIRECTORY_FLAGS, dir_fd=self._dir_fd)
        except BaseException as error:
            raise self._unopened(error) from error
        return fd

    def publish(self, fd: int) -> None:
        """Rename it, open as ``fd``, to its target, which it never takes from another (unless
        ``force``)."""
        try:
            if not os.path.samestat(os.fstat(fd), self._status()):
                raise TargetUnusable(f"{self.name} was replaced while it was written")
            if self._force:
                _rename(self._dir_fd, self.name, self.target)
                os.fsync(self._dir_fd)
            else:
                _rename_new(self._dir_fd, self.name, self.target)
                self._sync_name()
        except FileExistsError as error:
            text = f"{self.target} came to be meanwhile; {self.name} is whole"
            raise TargetUnusable(text) from error
        except OSError as error:
            raise write_error(error, self.target, TargetUnusable) from error
        self.journal.remove()

    def _sync_name(self) -> None:
        """Make the new name durable, or take it back.  Raises OSError."""
        try:
            os.fsync(self._dir_fd)
        except OSError:
            with suppress(OSError):
                _rename_new(self._dir_fd, self.target, self.name)
            raise

    def remove(self) -> None:
        """Leave nothing.  Raises OSError for a directory that is not empty."""
        if stat.S_ISDIR(self._status().st_mode):
            os.rmdir(on_disk(self.name), dir_fd=self._dir_fd)
        else:
            os.unlink(on_disk(self.name), dir_fd=self._dir_fd)
        self.journal.remove()

    def _open_journal(self, root: Cid) -> Journal:
        """A partial that has no journal is someone else's and stays."""
        journal = Journal(self._dir_fd, f"{self.name}.map", root)
        try:
            if not journal.started:
                check_target(self._dir_fd, self.name)
                journal.start()  # first, so that no partial of ours is ever without one
        except DhtstoreError:
            journal.remove()
            journal.close()
            raise
        return journal

    def _status(self) -> os.stat_result:
        return os.stat(on_disk(self.name), dir_fd=self._dir_fd, follow_symlinks=False)

    def _reopen(self, flags: int, is_kind: Callable[[int], bool]) -> int | None:
        """None if nothing can be gone on with: another root's, or no file that we would make."""
        if not self.journal.resumed:
            return None
        try:
            fd = os.open(on_disk(self.name), flags, dir_fd=self._dir_fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR):
                return None
            raise
        made_here = False
        try:
            made_here = self._is_made_here(os.fstat(fd), is_kind)
        finally:
            if not made_here:
                close_quietly(fd)
        return fd if made_here else None

    def _is_made_here(self, status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
        """Whether it is as we would make it, and nobody has another name for it."""
        if not is_kind(status.st_mode) or status.st_uid != self.journal.owner:
            return False
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            return False
        return not (self.journal.modes_kept and status.st_mode & _UMASK)

    def _start_anew(self) -> None:
        """Remove what stands there, if it is ours, and what the journal says of it."""
        try:
            status = self._status()
        except FileNotFoundError:
            status = None
        if status is not None:
            if status.st_uid != self.journal.owner:
                raise TargetUnusable(f"{self.name} belongs to another user")
            _remove(self._dir_fd, on_disk(self.name))
        self.journal.restart()

    def _unopened(self, error: BaseException) -> BaseException:
        self.journal.close()  # and with it the lock that another try would meet
        if isinstance(error, OSError):
            return TargetUnusable(f"cannot write {self.name}: {error.strerror}")
        return error


def partial_name(dir_fd: int, target: str) -> str:
    """``target.part``; where that would leave no room for its journal's name, a name of its own
    length that the next run finds again."""
    name = f"{target}.part"
    longest = min(os.fpathconf(dir_fd, "PC_NAME_MAX"), _NAME_MAX_BYTES)
    if len(on_disk(f"{name}.map")) <= longest:
        return name
    return f"dhtstore-{hashlib.sha256(on_disk(target)).hexdigest()[:32]}.part"


def begun_before(dir_fd: int, target: str) -> bool:
    """Whether an earlier run left a journal for this target."""
    try:
        name = on_disk(f"{partial_name(dir_fd, target)}.map")
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return False
    return True


def check_target(dir_fd: int, name: str, *, force: bool = False) -> None:
    """Raises TargetUnusable unless ``name`` may come to be in this directory."""
    try:
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=dir_fd):
            raise TargetUnusable(f"cannot write {name}: its directory is not writable")
        existing = os.stat(on_disk(name), dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        raise TargetUnusable(f"cannot write {name}: {error.strerror}") from error
    if not force or stat.S_ISDIR(existing.st_mode):
        raise TargetUnusable(f"{name} exists already")


def allocate(fd: int, size_bytes: int) -> None:
    """Give the file its length, with room on the disk where the file system can promise it."""
    try:
        os.posix_fallocate(fd, 0, size_bytes)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.ftruncate(fd, size_bytes)


def _remove(dir_fd: int, name: bytes) -> None:
    """A file, or a directory and everything below it; never follows a link."""
    try:
        os.unlink(name, dir_fd=dir_fd)
    except IsADirectoryError:
        below = os.open(name, DIRECTORY_FLAGS, dir_fd=dir_fd)
        try:
            for each in listed(below):
                _remove(below, each)
        finally:
            close_quietly(below)
        os.rmdir(name, dir_fd=dir_fd)


def _rename_new(dir_fd: int, part: str, name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(libc, "renameat2", None)
    if renameat2 is not None:
        arguments = (dir_fd, on_disk(part), dir_fd, on_disk(name), _RENAME_NOREPLACE)
        if renameat2(*arguments) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):  # not on this file system, not in this kernel
            raise OSError(code, os.strerror(code))
    check_target(dir_fd, name)
    _rename(dir_fd, part, name)


def _rename(dir_fd: int, part: str, name: str) -> None:
    os.rename(on_disk(part), on_disk(name), src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
