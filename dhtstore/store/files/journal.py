"""An append-only file that says what of a partial output is verified and on disk."""

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
from dhtstore.store.disk import write_error
from dhtstore.store.files.names import on_disk

_FAMILY: Final = b"dhtstore partial "  # all versions' journals start so
_MAGIC: Final = _FAMILY + b"1\n"
_HEAD: Final = struct.Struct("<II")  # length and CRC-32 of an entry
_SIZE_MAX_BYTES: Final = 1 << 30
_MODE: Final = 0o600
_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Journal:
    """``name`` beside the partial; names the root, so that two contents never mix.

    Entries come after their data is synced; a torn one at the end is ignored and overwritten.
    They were true once: whoever goes by them hashes the data again, since it may have changed.
    """

    def __init__(self, dir_fd: int, name: str, root: Cid) -> None:
        """``entries`` are those of an earlier run for the same root, ``resumed`` says if there
        was one, ``started`` if there was one for any root.  ``owner`` and ``modes_kept`` tell how
        the file system shows what we make: some have one owner and one mode for everything.

        Raises TargetUnusable, also while another process has it open, and for a file that is
        not a journal of ours or that another version of this program wrote.
        """
        self._dir_fd = dir_fd
        self._name = name
        self._header = _MAGIC + len(root.raw).to_bytes(2, "big") + root.raw
        try:
            self._fd, made = _open(dir_fd, name)
            status = os.fstat(self._fd)
            ours = made or _is_ours(dir_fd, status)
        except OSError as error:
            raise TargetUnusable(f"cannot write {name}: {error.strerror}") from error
        if not ours:
            self.close()
            raise TargetUnusable(f"{name} exists already and is not ours alone")
        self.owner = status.st_uid  # that of whatever we make there
        self.modes_kept = stat.S_IMODE(status.st_mode) == _MODE
        self._lock()
        raw = os.pread(self._fd, min(os.fstat(self._fd).st_size, _SIZE_MAX_BYTES), 0)
        self.started = raw.startswith(_MAGIC)
        if raw and not self.started:
            self.close()
            raise TargetUnusable(_not_ours(name, raw))
        self.resumed = raw.startswith(self._header)
        self.entries = list(_parse(raw, len(self._header))) if self.resumed else []
        self._end = len(self._header) + sum(_HEAD.size + len(entry) for entry in self.entries)

    def start(self) -> None:
        """Cut off what is not true of this root.  Raises NoRoom."""
        try:
            os.ftruncate(self._fd, self._end if self.resumed else 0)
            os.pwrite(self._fd, self._header, 0)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error

    def restart(self) -> None:
        """Forget what an earlier run wrote.  Raises NoRoom."""
        self.resumed, self.entries, self._end = False, [], len(self._header)
        self.start()

    def append(self, entries: Iterable[bytes]) -> None:
        """Raises NoRoom; the entries may then be lost, and nothing else."""
        raw = b"".join(_HEAD.pack(len(e), zlib.crc32(e)) + e for e in entries)
        try:
            written = os.pwrite(self._fd, raw, self._end)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error
        if written == len(raw):
            self._end += written

    def remove(self) -> None:
        os.unlink(on_disk(self._name), dir_fd=self._dir_fd)

    def close(self) -> None:
        os.close(self._fd)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.fstat(self._fd).st_nlink > 0  # its last owner may just have removed it
        except BlockingIOError:
            held = False
        if not held:
            self.close()
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
        os.close(fd)
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
