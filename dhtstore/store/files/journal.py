"""An append-only file that says what of a partial output was verified and written."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from dhtstore.errors import TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.disk import close_quietly, write_error, write_fully
from dhtstore.store.files.names import on_disk

_FAMILY: Final = b"dhtstore partial "  # all versions' journals start so
_MAGIC: Final = _FAMILY + b"1\n"
_HEAD: Final = struct.Struct("<II")  # length and CRC-32 of an entry
_SIZE_MAX_BYTES: Final = 1 << 30
_MODE: Final = 0o600
_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Journal:
    """``name`` beside the partial; names the root, and which ``part`` of it is wanted if not all,
    so that two contents never mix.

    Entries come after their data is written, not synced; a torn one at the end is ignored and
    overwritten.  Whoever goes by them hashes the data again: it may be lost, or have changed.
    """

    def __init__(self, dir_fd: int, name: str, root: Cid, part: bytes = b"") -> None:
        """``entries`` are those of an earlier run for the same root, ``resumed`` says if there
        was one, ``started`` if there was one for any root.  ``owner`` and ``modes_kept`` tell how
        the file system shows what we make: some have one owner and one mode for everything.

        Raises TargetUnusable, also while another process has it open, and for a file that is
        not a journal of ours or that another version of this program wrote.
        """
        self._dir_fd = dir_fd
        self._name = name
        names = root.raw + part
        self._header = _MAGIC + len(names).to_bytes(2, "big") + names
        self._fd, self._removing = -1, False
        try:
            raw = self._open()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise TargetUnusable(f"cannot write {name}: {error.strerror}") from error
            raise
        self.started = raw.startswith(_MAGIC)
        self.resumed = raw.startswith(self._header)
        self.entries = list(_parse(raw, len(self._header))) if self.resumed else []
        self._end = len(self._header) + sum(_HEAD.size + len(entry) for entry in self.entries)

    def _open(self) -> bytes:
        """Open it, locked, and read it.  Raises OSError, TargetUnusable; then what was made here
        goes when it is closed."""
        self._fd, made = _open(self._dir_fd, self._name)
        self._removing = made
        status = os.fstat(self._fd)
        if not made and not _is_ours(self._dir_fd, status):
            raise TargetUnusable(f"{self._name} exists already and is not ours alone")
        self.owner = status.st_uid  # that of whatever we make there
        self.modes_kept = stat.S_IMODE(status.st_mode) == _MODE
        self._lock()
        raw = os.pread(self._fd, min(os.fstat(self._fd).st_size, _SIZE_MAX_BYTES), 0)
        if raw and not raw.startswith(_MAGIC):
            raise TargetUnusable(_not_ours(self._name, raw))
        self._removing = False
        return raw

    def start(self) -> None:
        """Cut off what is not true of this root.  Raises NoRoom."""
        try:
            os.ftruncate(self._fd, self._end if self.resumed else 0)
            write_fully(self._fd, 0, self._header)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error

    def restart(self) -> None:
        """Forget what an earlier run wrote.  Raises NoRoom."""
        self.resumed, self.entries, self._end = False, [], len(self._header)
        self.start()

    def disown(self) -> None:
        """What stands beside it is no partial from now on: a later run clears that away.  Raises
        NoRoom, TargetUnusable."""
        try:
            os.ftruncate(self._fd, len(_MAGIC))
            os.fdatasync(self._fd)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error

    def append(self, entries: Iterable[bytes]) -> bool:
        """Whether they are there now.  Raises NoRoom; the entries may then be lost, and nothing
        else."""
        raw = b"".join(_HEAD.pack(len(e), zlib.crc32(e)) + e for e in entries)
        try:
            written = os.pwrite(self._fd, raw, self._end)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error
        if written == len(raw):
            self._end += written
        return written == len(raw)

    def remove(self) -> None:
        """At the latest when it is closed; where that fails too, a later run goes on with it."""
        try:
            os.unlink(on_disk(self._name), dir_fd=self._dir_fd)
            self._removing = False
        except OSError:
            self._removing = True

    def close(self) -> None:
        """May be called twice."""
        if self._removing:
            self.remove()
            self._removing = False
        if self._fd >= 0:
            close_quietly(self._fd)
            self._fd = -1

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.fstat(self._fd).st_nlink > 0  # its last owner may just have removed it
        except BlockingIOError:
            held = False
        if not held:
            self._removing = False  # it is that process's
            raise TargetUnusable(f"{self._name} is being written by another process")


def _open(dir_fd: int, name: str) -> tuple[int, bool]:
    """The descriptor, and whether the file was made."""
    raw = on_disk(name)
    try:
        return os.open(raw, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=dir_fd), True
    except FileExistsError:
        return os.open(raw, _FLAGS, dir_fd=dir_fd), False


def _is_ours(dir_fd: int, status: os.stat_result) -> bool:
    """Whether nobody else made a file that was there already, or has another name for it."""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        return False
    return status.st_uid == os.geteuid() or status.st_uid == _owner_given(dir_fd)


def _owner_given(dir_fd: int) -> int:
    """Whom the file system makes the owner of what we make: not us on some mounts."""
    name = f"dhtstore-{os.getpid()}-{threading.get_ident()}.tmp"
    fd = os.open(name, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=dir_fd)
    try:
        return os.fstat(fd).st_uid
    finally:
        close_quietly(fd)
        os.unlink(name, dir_fd=dir_fd)


def _parse(raw: bytes, at: int) -> Iterator[bytes]:
    while at + _HEAD.size <= len(raw):
        length, crc = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        entry = raw[at : at + length]
        if len(entry) != length or zlib.crc32(entry) != crc:
            return
        yield entry
        at += length


def _not_ours(name: str, raw: bytes) -> str:
    if raw.startswith(_FAMILY):
        part = name.removesuffix(".map")
        return f"{name} is of another version of dhtstore: use that, or remove it and {part}"
    return f"{name} exists already and is not ours"
