"""An append-only file that says what of a partial output is verified and on disk."""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from dhtstore.errors import TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.disk import write_error

_MAGIC: Final = b"dhtstore partial 1\n"
_HEAD: Final = struct.Struct("<II")  # length and CRC-32 of an entry
_SIZE_MAX_BYTES: Final = 1 << 30


class Journal:
    """``name`` beside the partial; names the root, so that two contents never mix.

    Entries come after their data is synced, so each is true whenever it can be read; a torn one
    at the end is ignored and overwritten.
    """

    def __init__(self, dir_fd: int, name: str, root: Cid) -> None:
        """``entries`` are those of an earlier run for the same root, ``resumed`` says if there
        was one, ``started`` if there was one for any root.

        Raises TargetUnusable, also while another process has it open.
        """
        self._dir_fd = dir_fd
        self._name = name
        self._header = _MAGIC + len(root.raw).to_bytes(2, "big") + root.raw
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(name, flags, 0o600, dir_fd=dir_fd)
        except OSError as error:
            raise TargetUnusable(f"cannot write {name}: {error.strerror}") from error
        self._lock()
        raw = os.pread(self._fd, min(os.fstat(self._fd).st_size, _SIZE_MAX_BYTES), 0)
        self.started = raw.startswith(_MAGIC)
        if raw and not self.started:
            self.close()
            raise TargetUnusable(f"{name} exists already and is not ours")
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
        os.unlink(self._name, dir_fd=self._dir_fd)

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


def _parse(raw: bytes, at: int) -> Iterator[bytes]:
    while at + _HEAD.size <= len(raw):
        length, crc = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        entry = raw[at : at + length]
        if len(entry) != length or zlib.crc32(entry) != crc:
            return
        yield entry
        at += length
