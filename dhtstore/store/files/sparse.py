"""Zeros that are not written: a file that is got has holes where whole pages of it are zeros."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from typing import Final

from dhtstore.config import format_size
from dhtstore.errors import NoRoom
from dhtstore.store.disk import FULL_HINT, write_fully

HOLE_BYTES: Final = 4096  # a page, and the least that ext4, XFS and btrfs leave out
# Below it a file of a tree is written as it is: to ask for room and give it its length first takes
# three calls of the system, a tenth of the time of many small files.
SPARSE_MIN_BYTES: Final = 64 * 1024
_ZEROS: Final = bytes(HOLE_BYTES)
_ALLOCATE_MIN_BYTES: Final = 1 << 20
_PUNCH_HOLE: Final = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, fallocate(2)
_TMPFS_MAGIC: Final = 0x01021994  # statfs(2)
_STATFS_BYTES: Final = 256  # the struct has 120 at most
_libc: Final = ctypes.CDLL(None, use_errno=True)
_UNSUPPORTED: Final = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM)

Data = bytes | memoryview


def write_sparse(fd: int, offset: int, data: Data) -> None:
    """Write ``data``, and make holes of its pages of zeros, whatever stood there.  Where the file
    system has no holes zeros are written.  Raises OSError."""
    view, at = memoryview(data), 0
    for start, end in holes(offset, data):
        if at < start:
            write_fully(fd, offset + at, view[at:start])
        if not _punched(fd, offset + start, end - start):
            write_fully(fd, offset + start, view[start:end])
        at = end
    if at < len(view):
        write_fully(fd, offset + at, view[at:])


def holes(offset: int, data: Data) -> Iterator[tuple[int, int]]:
    """The runs of pages in ``data``, which stands at ``offset``, that are all zeros.

    One byte of each page is looked at first: that rules out most pages that have data, and costs
    next to nothing (3 ms a gigabyte).
    """
    view = memoryview(data)
    first = -offset % HOLE_BYTES
    samples = bytes(view[first::HOLE_BYTES])
    start = end = page = 0
    while (page := samples.find(0, page)) >= 0:
        at = first + page * HOLE_BYTES
        page += 1
        if bytes(view[at : at + HOLE_BYTES]) != _ZEROS:
            continue  # also for the end of a page: a file may end there that has no length yet
        if at != end and start < end:
            yield start, end
        start, end = start if at == end and start < end else at, at + HOLE_BYTES
    if start < end:
        yield start, end


def lengthen(fd: int, size_bytes: int, name: str) -> None:
    """Give a file its length, with room on the disk where the file system can promise it: holes
    are given back.  Raises NoRoom where the disk has no room for all of it, OSError."""
    status = os.fstat(fd)
    if size_bytes <= status.st_size:
        return
    system = os.fstatvfs(fd)
    free_bytes = system.f_frsize * (system.f_bavail if os.geteuid() else system.f_bfree)
    if system.f_blocks and size_bytes - status.st_blocks * 512 > free_bytes:
        needed, free = format_size(size_bytes), format_size(free_bytes)
        raise NoRoom(f"no room on the disk for {name}: it has {needed}, free are {free}").hinted(
            FULL_HINT
        )
    if not (size_bytes >= _ALLOCATE_MIN_BYTES and _allocated(fd, size_bytes)):
        os.ftruncate(fd, size_bytes)


def _allocated(fd: int, size_bytes: int) -> bool:
    """False where the file system cannot, or is in memory: there it would clear each page that is
    written next, a tenth of the work of a get.  Raises OSError."""
    if _in_memory(fd):
        return False
    try:
        os.posix_fallocate(fd, 0, size_bytes)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        return False
    return True


def _in_memory(fd: int) -> bool:
    """Whether it lies on a tmpfs, by the first member of what statfs(2) gives."""
    fstatfs, told = getattr(_libc, "fstatfs", None), ctypes.create_string_buffer(_STATFS_BYTES)
    if fstatfs is None or fstatfs(fd, told) != 0:
        return False
    return int.from_bytes(told.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) == _TMPFS_MAGIC


def _punched(fd: int, offset: int, size_bytes: int) -> bool:
    """Make a hole.  False where the file system cannot.  Raises OSError."""
    fallocate = getattr(_libc, "fallocate64", None)
    if fallocate is None:
        return False
    place = (ctypes.c_int64(offset), ctypes.c_int64(size_bytes))
    if fallocate(fd, _PUNCH_HOLE, *place) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code))
