"""Pack files: append-only, self-describing.  The pack is the log; the index can be rebuilt.

A record is magic (4 bytes), data length (u32), CID length (u16), CRC-32 of these and the CID
(u32), the CID, the data; little-endian.  The CID is a CIDv1 with the codec it was stored by.
Nothing in a record says that it is live: the index does.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from dhtstore.errors import InvalidCid
from dhtstore.model.cid import Cid
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, MIB
from dhtstore.store.disk import close_quietly, sync_directory, write_error, write_fully
from dhtstore.store.ours import READ_FLAGS

PACK_SIZE_BYTES: Final = 256 * MIB  # a pack is left when the next record would pass this
OPEN_PACKS_MAX: Final = 64  # read descriptors kept
_MAGIC: Final = b"dPk\x01"
_HEAD: Final = struct.Struct("<4sIH")
_CRC: Final = struct.Struct("<I")
_HEADER_BYTES: Final = _HEAD.size + _CRC.size
_CID_MAX_BYTES: Final = 160  # identity CIDs are the longest
RECORD_MORE_BYTES: Final = _HEADER_BYTES + 2  # of a record, beside its data and its multihash
_WRITE_FLAGS: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Record(NamedTuple):
    """A block found in a pack."""

    cid: Cid
    offset: int  # of the data
    length: int


def header(cid: Cid, length: int) -> bytes:
    """What stands before ``length`` bytes of data."""
    head = _HEAD.pack(_MAGIC, length, len(cid.raw))
    return head + _CRC.pack(zlib.crc32(cid.raw, zlib.crc32(head))) + cid.raw


def pack_name(number: int) -> str:
    return f"{number:08d}.pack"


class PackWriter:
    """Positional appends to one pack: ``reserve`` under the owner's lock, ``write`` in any
    thread.  One batch at a time holds a pack, so what it did not commit is always its tail."""

    def __init__(self, directory: Path, number: int, end: int, *, create: bool = False) -> None:
        """Raises NoRoom, HomeUnusable; then no file was made, or one that no number names."""
        self.number = number
        self.end = end
        self.unwritten = 0  # bytes that were reserved; counted under the owner's lock
        self._lost: Exception | None = None  # why what was written may not be on the disk
        self._syncing = threading.Lock()  # a put syncs what it leaves, beside a commit
        try:
            self._fd = _create(directory, number) if create else _reopen(directory, number)
        except OSError as error:
            raise write_error(error, "a new pack") from error

    def reserve(self, size: int) -> int:
        self.end += size
        self.unwritten += size
        return self.end - size

    def write(self, offset: int, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        """Raises NoRoom or HomeUnusable; the bytes at ``offset`` are then undefined."""
        try:
            write_fully(self._fd, offset, *parts)
        except OSError as error:
            raise write_error(error, "a block") from error

    def sync(self) -> None:
        """Raises NoRoom or HomeUnusable, and from then on always: a failed one may have dropped the
        pages, so that the next would lie."""
        with self._syncing:
            if self._lost is not None:
                raise self._lost
            if self._fd >= 0:
                self._sync()

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            self._lost = write_error(error, "blocks")
            raise self._lost from error

    def close(self) -> None:
        """May be called twice.  Whoever does it has synced what is to stay."""
        with self._syncing:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                close_quietly(fd)


def _reopen(directory: Path, number: int) -> int:
    return os.open(directory / pack_name(number), _WRITE_FLAGS)


def _create(directory: Path, number: int) -> int:
    path = directory / pack_name(number)
    fd = os.open(path, _WRITE_FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        sync_directory(directory)
    except OSError:
        close_quietly(fd)
        with suppress(OSError):  # the next open of the store does it
            path.unlink()
        raise
    return fd


def cut_file(path: Path, end: int) -> None:
    """Durably.  Raises OSError."""
    fd = os.open(path, _WRITE_FLAGS)
    try:
        os.ftruncate(fd, end)
        os.fsync(fd)
    finally:
        close_quietly(fd)


def scan(path: Path, start: int) -> Iterator[Record]:
    """Records at or after ``start`` whose data hashes to their CID.

    Everything else (a torn write, a hole of a write that failed, rot) is stepped over.
    """
    with path.open("rb") as file:
        at, size = start, path.stat().st_size
        while at + _HEADER_BYTES <= size:
            file.seek(at)
            record = _parse(at, file.read(_HEADER_BYTES + _CID_MAX_BYTES))
            if record is None:
                at = _find_magic(file.fileno(), at + 1, size)
                continue
            file.seek(record.offset)
            if record.cid.matches(file.read(record.length)):
                yield record
                at = record.offset + record.length
            else:  # its length proves nothing: whole records may stand inside
                at = _find_magic(file.fileno(), at + 1, size)


def _parse(at: int, raw: bytes) -> Record | None:
    magic, length, cid_length = _HEAD.unpack_from(raw)
    cid = raw[_HEADER_BYTES : _HEADER_BYTES + cid_length]
    if magic != _MAGIC or length > BLOCK_SIZE_MAX_BYTES or len(cid) != cid_length:
        return None
    if _CRC.unpack_from(raw, _HEAD.size)[0] != zlib.crc32(cid, zlib.crc32(raw[: _HEAD.size])):
        return None
    try:
        return Record(Cid.decode(cid), at + _HEADER_BYTES + cid_length, length)
    except InvalidCid:
        return None


def _find_magic(fd: int, at: int, size: int) -> int:
    """Where the magic next stands at or after ``at``; ``size`` if nowhere."""
    while at < size:
        chunk = os.pread(fd, MIB, at)
        found = chunk.find(_MAGIC)
        if found >= 0:
            return at + found
        at += max(1, len(chunk) - len(_MAGIC) + 1)  # the magic may straddle two chunks
    return size


def _forget_cached(fd: int, offset: int, length: int) -> None:
    with suppress(OSError):  # it is advice
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)


class PackReaders:
    """Read descriptors of packs, at most OPEN_PACKS_MAX idle ones kept, least used closed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: OrderedDict[int, _OpenPack] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, number: int, offset: int, length: int) -> bytes:
        """What is there; shorter at the end of the file.  Raises OSError."""
        with self._borrow(number) as reader:
            return os.pread(reader.fd, length, offset)

    def read_afresh(self, number: int, offset: int, length: int) -> bytes:
        """As ``read``, from the disk itself; nothing of it stays in memory: others need that."""
        with self._borrow(number) as reader:
            _forget_cached(reader.fd, offset, length)
            data = os.pread(reader.fd, length, offset)
            _forget_cached(reader.fd, offset, length)
            return data

    def read_into(
        self, lend: Callable[[int], memoryview], number: int, offset: int, length: int
    ) -> memoryview:
        """As ``read``, into what is lent: the kernel makes a fresh buffer page by page, which takes
        as long as the copy."""
        with self._borrow(number) as reader:
            buffer = lend(length)
            return buffer[: os.preadv(reader.fd, [buffer], offset)]

    def forget(self, number: int) -> None:
        """Close the descriptor once nobody reads from it."""
        with self._lock:
            reader = self._open.pop(number, None)
            if reader is not None:
                reader.drop()

    def close(self) -> None:
        for number in list(self._open):
            self.forget(number)

    def _borrow(self, number: int) -> _OpenPack:
        with self._lock:
            reader = self._open.get(number)
            if reader is None:
                path = self._directory / pack_name(number)
                reader = _OpenPack(os.open(path, READ_FLAGS), self._lock)
                self._open[number] = reader
                if len(self._open) > OPEN_PACKS_MAX:
                    self._open.popitem(last=False)[1].drop()
            else:
                self._open.move_to_end(number)
            reader.users += 1
            return reader


class _OpenPack:
    """A descriptor that closes when the cache dropped it and its last user is done."""

    __slots__ = ("_dropped", "_lock", "fd", "users")

    def __init__(self, fd: int, lock: threading.Lock) -> None:
        self.fd = fd
        self.users = 0
        self._dropped = False
        self._lock = lock

    def drop(self) -> None:
        """Called with the lock held."""
        self._dropped = True
        if self.users == 0:
            close_quietly(self.fd)

    def __enter__(self) -> _OpenPack:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self.users -= 1
            if self._dropped and self.users == 0:
                close_quietly(self.fd)
