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

from dhtstore.errors import DhtstoreError, OldLeft, TargetExists, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.params import MIB
from dhtstore.store.disk import close_quietly, write_error
from dhtstore.store.files.attributes import open_again
from dhtstore.store.files.journal import Journal
from dhtstore.store.files.names import listed, on_disk

# What is written is noted in the journal at once, so that a process that is killed loses next to
# nothing, and synced now and then: what a power cut takes shows when it is hashed.
NOTE_BYTES: Final = 1 * MIB
CHECKPOINT_BYTES: Final = 64 * MIB
DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NAME_MAX_BYTES: Final = 255  # NAME_MAX of Linux; some of its file systems take less
_RENAME_NOREPLACE: Final = 1  # renameat2(2)
_RENAME_EXCHANGE: Final = 2
_UNSUPPORTED: Final = (errno.EINVAL, errno.ENOSYS)  # on this file system, in this kernel


def _umask() -> int:
    """It can only be read by setting it: once, before there are threads."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


_UMASK: Final = _umask()


class Partial:
    """``name`` is the partial's, ``target`` that of the file or directory it becomes."""

    def __init__(
        self, dir_fd: int, target: str, root: Cid, *, force: bool = False, part: bytes = b""
    ) -> None:
        """Raises TargetExists if ``target`` exists (unless ``force``: then it is replaced when the
        partial is whole, and not before), TargetUnusable if the directory cannot be written, if
        another process writes the same partial, or if partial or journal are not ours; NoRoom."""
        check_target(dir_fd, target, force=force)
        self.target, self.name = target, partial_name(dir_fd, target)
        self._dir_fd, self._force = dir_fd, force
        self.journal = self._open_journal(root, part)

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
            if self._force and self._is_taken():
                self._replace(fd)
            else:
                _rename_new(self._dir_fd, self.name, self.target)
                self._sync_name()
        except FileExistsError as error:
            text = f"{self.target} came to be meanwhile; {self.name} is whole"
            raise TargetExists(text) from error
        except OSError as error:
            raise write_error(error, self.target, TargetUnusable) from error
        self.journal.remove()

    def _is_taken(self) -> bool:
        try:
            os.stat(on_disk(self.target), dir_fd=self._dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _replace(self, fd: int) -> None:
        """Take the place of what is there, at once where the system can.  Raises OSError,
        TargetUnusable."""
        check_target(self._dir_fd, self.target, force=True)  # it may be a FIFO by now
        dir_fd, target, part = self._dir_fd, on_disk(self.target), on_disk(self.name)
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            check_no_directory(dir_fd, self.target)
            os.rename(part, target, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.fsync(dir_fd)
            return
        self.journal.disown()
        _exchange(dir_fd, part, target)
        os.fsync(dir_fd)
        try:
            remove(dir_fd, part)
        except OSError as error:
            text = f"{self.target} is whole; of what it replaced, some is left as {self.name}"
            raise OldLeft(f"{text}: {error.strerror}") from error

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

    def _open_journal(self, root: Cid, part: bytes) -> Journal:
        """A partial that has no journal is someone else's and stays."""
        journal = Journal(self._dir_fd, f"{self.name}.map", root, part)
        try:
            if not journal.started:
                self._check_free()
                journal.start()  # first, so that no partial of ours is ever without one
        except DhtstoreError:
            journal.remove()
            journal.close()
            raise
        return journal

    def _check_free(self) -> None:
        """``--force`` replaces the target, and never a file beside it that only has this name."""
        try:
            check_target(self._dir_fd, self.name)
        except TargetExists as error:
            raise error.hinted("move that away, or choose another path") from None

    def _status(self) -> os.stat_result:
        return os.stat(on_disk(self.name), dir_fd=self._dir_fd, follow_symlinks=False)

    def _reopen(self, flags: int, is_kind: Callable[[int], bool]) -> int | None:
        """None if nothing can be gone on with: another root's, or no file that we would make."""
        if not self.journal.resumed:
            return None
        try:
            fd = open_again(on_disk(self.name), flags, self._dir_fd)
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
            remove(self._dir_fd, on_disk(self.name))
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
    """Raises TargetExists, TargetUnusable unless ``name`` may come to be in this directory; with
    ``force`` in place of a file, a symbolic link or a directory."""
    try:
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=dir_fd):
            raise TargetUnusable(f"cannot write {name}: its directory is not writable")
        existing = os.stat(on_disk(name), dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        raise TargetUnusable(f"cannot write {name}: {error.strerror}") from error
    if not force:
        raise TargetExists(f"{name} exists already")
    if stat.S_IFMT(existing.st_mode) not in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR):
        raise TargetUnusable(f"{name} is neither a file nor a directory, and is not replaced")


def check_no_directory(dir_fd: int, name: str) -> None:
    """Raises TargetUnusable for a directory."""
    try:
        status = os.stat(on_disk(name), dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        raise TargetUnusable(f"cannot write {name}: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise TargetUnusable(f"{name} is a directory there, and no file replaces one")


def remove(dir_fd: int, name: bytes) -> None:
    """A file, or a directory and everything below it.  Never follows a link, and never goes into
    what is mounted there.  Raises OSError."""
    try:
        os.unlink(name, dir_fd=dir_fd)
        return
    except IsADirectoryError:
        _empty(_entered(dir_fd, name))
    os.rmdir(name, dir_fd=dir_fd)


def _empty(fd: int) -> None:
    """Owns ``fd``.  However deep it is: down and up again with one directory open at a time."""
    device = os.fstat(fd).st_dev
    waiting, way = [listed(fd)], list[tuple[int, bytes]]()  # of each level; inode above, and name
    try:
        while waiting[-1] or way:
            if waiting[-1]:
                name = waiting[-1].pop()
                try:
                    os.unlink(name, dir_fd=fd)
                except IsADirectoryError:
                    way.append((os.fstat(fd).st_ino, name))
                    fd = _instead(fd, _entered(fd, name))
                    waiting.append(listed(fd))
                continue
            waiting.pop()
            inode, name = way.pop()
            fd = _instead(fd, os.open("..", DIRECTORY_FLAGS, dir_fd=fd))
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) != (device, inode):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))  # it was moved meanwhile
            os.rmdir(name, dir_fd=fd)
    finally:
        close_quietly(fd)


def _entered(dir_fd: int, name: bytes) -> int:
    """A directory whose content can be removed.  Raises OSError, also for what is mounted there."""
    fd = open_again(name, DIRECTORY_FLAGS, dir_fd)
    try:
        status = os.fstat(fd)
        if status.st_dev != os.fstat(dir_fd).st_dev:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        if status.st_mode & 0o700 != 0o700:
            os.fchmod(fd, 0o700)
    except OSError:
        close_quietly(fd)
        raise
    return fd


def _instead(fd: int, other: int) -> int:
    close_quietly(fd)
    return other


def _rename_new(dir_fd: int, part: str, name: str) -> None:
    if not _renamed(dir_fd, on_disk(part), on_disk(name), _RENAME_NOREPLACE):
        check_target(dir_fd, name)
        os.rename(on_disk(part), on_disk(name), src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def _exchange(dir_fd: int, part: bytes, name: bytes) -> None:
    """Each gets the other's name, at once; where the system cannot, one after the other."""
    if _renamed(dir_fd, part, name, _RENAME_EXCHANGE):
        return
    aside = f"dhtstore-{hashlib.sha256(name).hexdigest()[:32]}.old".encode()
    os.rename(name, aside, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    try:
        os.rename(part, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except OSError:
        os.rename(aside, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        raise
    os.rename(aside, part, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def _renamed(dir_fd: int, old: bytes, new: bytes, flags: int) -> bool:
    """renameat2(2).  False where there is none, or not with these flags.  Raises OSError."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(dir_fd, old, dir_fd, new, flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code))
