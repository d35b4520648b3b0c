"""Reading one file by its descriptor, and how a source says what is wrong with it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from dhtstore.content.codec.unixfs import Metadata
from dhtstore.errors import DhtstoreError, SourceChanged, UnreadableSource, UsageError
from dhtstore.params import CHUNK_SIZE_BYTES
from dhtstore.store.disk import close_quietly

_SECOND_NS = 10**9
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class FileSource:
    """A regular file that must not change while it is put.  Owns ``fd``.

    ``size_bytes`` is what the file system says: procfs says 0 of everything, sysfs a page.
    """

    def __init__(self, fd: int, name: str = "the file", path: tuple[str, ...] = ()) -> None:
        """``path`` is where it is in the tree that is put.  Raises UnreadableSource, and closes
        ``fd``, for anything but a regular file."""
        self._fd = fd
        self._name, self.path = name, path
        try:
            self.look()
            if not stat.S_ISREG(self._looked.st_mode):
                raise refusal(name, "is not a regular file")
        except DhtstoreError:
            self.close()
            raise
        if self.size_bytes > CHUNK_SIZE_BYTES:
            with suppress(OSError):  # it is advice
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def look(self) -> None:
        """Take the file for what it is now: from here on it must not change.

        Raises UnreadableSource when the disk fails."""
        self._looked = self._status()
        self.size_bytes = self._looked.st_size

    @property
    def metadata(self) -> Metadata:
        """Of the file as it was looked at."""
        return metadata_of(self._looked)

    def read(self, offset: int, count: int) -> bytes:
        """Exactly the bytes that stand there, fewer only at the end of the file.

        Raises SourceChanged if the file does not end where its size says, UnreadableSource when
        the disk fails.
        """
        wanted = min(count, self.size_bytes - offset)
        beyond = int(offset + wanted == self.size_bytes)  # a byte that must not be there
        data = self.read_on(offset, wanted + beyond)
        if len(data) != wanted:
            raise refusal(self._name, "is not as long as it was when it was opened", SourceChanged)
        return data

    def read_on(self, offset: int, count: int) -> bytes:
        """The bytes that stand there, fewer only where the file ends, whatever its size says.

        Raises UnreadableSource when the disk fails.
        """
        try:
            data = os.pread(self._fd, count, offset)
            while len(data) < count:
                more = os.pread(self._fd, count - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise unreadable(self._name, error) from error
        return data

    def read_at(self, path: tuple[str, ...], offset: int, count: int) -> bytes:
        """As ``read_on``; a file has no paths in it."""
        return self.read_on(offset, count)

    def read_whole(self, limit_bytes: int) -> bytes | None:
        """All of it, to its end; None if that is more than ``limit_bytes``.

        Read again once if it changed meanwhile; raises SourceChanged if it did then, too.
        """
        try:
            return self._read_whole(limit_bytes)
        except SourceChanged:
            self.look()
            return self._read_whole(limit_bytes)

    def check_unchanged(self) -> None:
        """Raises SourceChanged if it was written to or resized since it was looked at.

        Nobody can set the time of the last change of an inode (ctime) back.
        """
        if state(self._status()) != state(self._looked):
            raise refusal(self._name, "changed while it was read", SourceChanged)

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            close_quietly(self._fd)
            self._fd = -1

    def _status(self) -> os.stat_result:
        try:
            return os.fstat(self._fd)
        except OSError as error:
            raise unreadable(self._name, error) from error

    def _read_whole(self, limit_bytes: int) -> bytes | None:
        data = self.read_on(0, min(self.size_bytes, limit_bytes) + 1)
        if len(data) > self.size_bytes:  # the size was no more than a hint
            data += self.read_on(len(data), limit_bytes + 1 - len(data))
        self.check_unchanged()
        return data if len(data) <= limit_bytes else None


def is_file(fd: int) -> bool:
    """Whether that is what is open, and not a pipe."""
    return stat.S_ISREG(os.fstat(fd).st_mode)


def state(status: os.stat_result) -> tuple[object, ...]:
    """What differs when something was changed: mode, inode, device, links, owners and size come
    first in a status."""
    return status[:7], status.st_mtime_ns, status.st_ctime_ns


def metadata_of(status: os.stat_result) -> Metadata:
    """What may be kept of an inode: all permission bits but those of a link, which has none."""
    mode = None if stat.S_ISLNK(status.st_mode) else stat.S_IMODE(status.st_mode)
    return Metadata(mode, divmod(status.st_mtime_ns, _SECOND_NS))


def refusal(
    name: str, why: str, kind: type[UnreadableSource | SourceChanged] = UnreadableSource
) -> DhtstoreError:
    """That ``name`` cannot be put; ``why`` follows a name, and stands in the field of that name,
    too, for lists of what was skipped."""
    error = kind(f"{name} {why}")
    vars(error)["why"] = why
    return error


def unreadable(name: str, error: OSError) -> DhtstoreError:
    """What a failed call says of ``name``; UsageError, which nothing may skip, where it says
    something of this process instead."""
    if error.errno in _OURS:
        failure = UsageError(f"{name} cannot be read: {error.strerror}")
        return failure.hinted("try again when less is going on on this machine")
    if isinstance(error, FileNotFoundError):  # it was there when it was listed
        return refusal(name, "vanished while it was put", SourceChanged)
    return refusal(name, f"cannot be read: {error.strerror or error}")
