"""A tree as a tar stream: pax format (POSIX.1-2001), as Python's tarfile writes its headers.

The same tree is the same stream everywhere: entries in DAG order, nobody's and of no group, with
mode and time where the DAG tells them.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Final

from dhtstore.content.dag.walk import Directory, File, Listed, Mtime, Output, Piece, Symlink
from dhtstore.errors import MalformedDag
from dhtstore.model.names import bytes_of

_FILE_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o755
_LINK_MODE: Final = 0o777
_MODE_KEPT: Final = 0o777  # as in a file system: strangers chose it
_TYPES: Final = {
    Directory: (tarfile.DIRTYPE, _DIRECTORY_MODE),
    File: (tarfile.REGTYPE, _FILE_MODE),
    Symlink: (tarfile.SYMTYPE, _LINK_MODE),
}
_NS: Final = 10**9
_BYTES: Final = ("utf-8", "surrogateescape")  # names that are not UTF-8 by their bytes


class TarWriter:
    """Takes output in DAG order, the pieces of each file behind it; ``top`` is the name of the
    tree's root."""

    def __init__(self, top: str) -> None:
        self._top = top
        self._written = 0
        self._due = 0  # bytes of the file that is being written

    def take(self, output: Output) -> Iterator[bytes | memoryview]:
        """The bytes of the stream that it comes to.  Raises MalformedDag."""
        if isinstance(output, Piece):
            yield from self._piece(output)
        elif not isinstance(output, Listed):
            self._check_whole()
            yield self._count(self._header(output))
            self._due = output.size_bytes if isinstance(output, File) else 0

    def end(self) -> bytes:
        """What marks the end.  Raises MalformedDag."""
        self._check_whole()
        ended = self._written + 2 * tarfile.BLOCKSIZE
        return bytes(2 * tarfile.BLOCKSIZE + -ended % tarfile.RECORDSIZE)

    def _piece(self, piece: Piece) -> Iterator[bytes | memoryview]:
        size_bytes = len(piece.data)
        if size_bytes > self._due:
            raise MalformedDag("a piece beyond the end of its file")
        self._due -= size_bytes
        self._written += size_bytes
        yield piece.data
        if not self._due:
            yield self._count(bytes(-self._written % tarfile.BLOCKSIZE))

    def _count(self, raw: bytes) -> bytes:
        self._written += len(raw)
        return raw

    def _check_whole(self) -> None:
        if self._due:
            raise MalformedDag(f"a file that ends {self._due} bytes early")

    def _header(self, output: Directory | File | Symlink) -> bytes:
        info = tarfile.TarInfo(_text("/".join((self._top, *output.path))))
        info.type, info.mode = _TYPES[type(output)]
        if not isinstance(output, Symlink) and output.mode is not None:
            info.mode = output.mode & _MODE_KEPT
        if isinstance(output, File):
            info.size = output.size_bytes
        elif isinstance(output, Symlink):
            info.linkname = _text(output.target)
        if output.mtime is not None:
            _set_mtime(info, output.mtime)
        return _encoded(info)


def _encoded(info: tarfile.TarInfo) -> bytes:
    """A short name that is not UTF-8 stands in the plain header by its bytes, which all readers
    take; an extended one would have to say ``hdrcharset=BINARY``, of which GNU tar complains."""
    raw = info.tobuf(tarfile.PAX_FORMAT, *_BYTES)
    if b" hdrcharset=BINARY\n" not in raw[: -tarfile.BLOCKSIZE]:
        return raw
    try:
        plain = info.tobuf(tarfile.USTAR_FORMAT, *_BYTES)
    except ValueError:  # too long, too large or too old for it
        return raw
    info.name, info.linkname = "name", ""
    return info.tobuf(tarfile.PAX_FORMAT, *_BYTES)[: -tarfile.BLOCKSIZE] + plain


def _set_mtime(info: tarfile.TarInfo, mtime: Mtime) -> None:
    """Nanoseconds are in an extended header, exactly."""
    seconds, nanoseconds = mtime
    info.mtime = seconds
    if nanoseconds:
        whole, rest = divmod(abs(seconds * _NS + nanoseconds), _NS)
        sign = "-" if seconds < 0 else ""
        info.pax_headers = {"mtime": f"{sign}{whole}.{rest:09d}"}


def _text(name: str) -> str:
    """As tarfile takes it: bytes that are not UTF-8 as surrogates."""
    return bytes_of(name).decode(errors="surrogateescape")
