"""Reading an archive (tar, plain or packed by gzip, bzip2 or xz) out of a buffer that is fed.

Nothing here waits: who feeds it takes a step when enough is there for whatever the step may need
(``ready``).  An archive may be anybody's: what it can make us hold or do at once is bounded, and
whatever is wrong with it is UnreadableSource.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import IO, Final, Literal, Protocol, Self, cast

from dhtstore.content.codec.unixfs import Metadata
from dhtstore.errors import DhtstoreError
from dhtstore.model.names import name_of
from dhtstore.params import (
    CHUNK_SIZE_BYTES,
    FILE_NAME_MAX_BYTES,
    MIB,
    TAR_CONTENT_FACTOR,
    TAR_CONTENT_FREE_BYTES,
    TREE_LEVELS_MAX,
)
from dhtstore.store.files.sources.file import refusal

Path = tuple[str, ...]

HEADERS_MAX_BYTES: Final = 1 * MIB  # of the entries of one step, with long names and the like
_BUFFER_BYTES: Final = 128 * 1024
# Two leaves, headers, what is read ahead on the way, and as much again for what packs badly.
STEP_BYTES: Final = 8 * MIB
_XZ_MEMORY_BYTES: Final = 128 * MIB  # xz -9 takes 65 MiB
_SECONDS_MAX: Final = 2**62
_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One member.  ``target`` is that of a symbolic link, ``linked`` what a hard link is another
    name of; ``failure`` says why it cannot be stored, whose content has to be read all the same."""

    path: Path
    kind: Literal["directory", "file", "symlink", "hardlink", "failed"]
    metadata: Metadata | None = None
    size_bytes: int = 0
    target: str = ""
    linked: Path = ()
    failure: DhtstoreError | None = None


class TarReader:
    """``feed`` it and ``end`` it; when it is ``ready``, ``begin`` a step and take from it up to two
    leaves of content and as many entries as have headers of HEADERS_MAX_BYTES.  In a worker."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._fed = _Fed()
        self._plain: _Allowed | None = None
        self._tar: tarfile.TarFile | None = None
        self._file: IO[bytes] | None = None
        self._fed_bytes = self._content_bytes = 0

    @property
    def ready(self) -> bool:
        return self._fed.ended or self._fed.size_bytes >= STEP_BYTES

    def feed(self, data: bytes) -> None:
        self._fed_bytes += len(data)
        self._fed.feed(data)

    def end(self) -> None:
        self._fed.ended = True

    def begin(self) -> None:
        """A step: from here on so much of headers may be read.  Raises UnreadableSource."""
        with self._readable():
            if self._plain is None:
                self._plain = _Allowed(_unpacked(self._fed))
            self._plain.left_bytes = HEADERS_MAX_BYTES
            if self._tar is None:
                self._tar = tarfile.open(  # noqa: SIM115 - it owns nothing but buffers
                    fileobj=cast(IO[bytes], self._plain),
                    mode="r|",
                    bufsize=_BUFFER_BYTES,
                    tarinfo=_Header,
                    encoding="utf-8",
                    errors="surrogateescape",
                )

    def next(self) -> TarEntry | None:
        """The next entry, whose predecessor was read; None at the end.  Raises UnreadableSource."""
        tar, plain = self._tar, self._plain
        assert tar is not None, "a step was begun"
        assert plain is not None, "a step was begun"
        with self._readable():
            member = tar.next()
            tar.members = []  # type: ignore[attr-defined]  # it would remember all
            if member is None:
                return None
            if member.size < 0:
                raise _Malformed("an entry of less than nothing")
            has_content = not (member.islnk() or member.issym())
            self._file = tar.extractfile(member) if has_content else None
            return self._entry(member)

    def read(self, count: int) -> bytes:
        """The next bytes of the entry, fewer only at its end.  Raises UnreadableSource, also where
        holes or zeros would be content without end: the store keeps one block for all of them, so
        its room does not end that."""
        assert self._plain is not None, "a step was begun"
        before_bytes, self._plain.left_bytes = self._plain.left_bytes, 2 * count + 2 * MIB
        with self._readable():
            data = b"" if self._file is None else self._file.read(count)
        self._plain.left_bytes = before_bytes
        self._content_bytes += len(data)
        if self._content_bytes > TAR_CONTENT_FREE_BYTES + TAR_CONTENT_FACTOR * self._fed_bytes:
            why = f"claims more than {TAR_CONTENT_FACTOR} times as much content as its own length"
            raise refusal(self._name, why).hinted("unpack it, and put what came of it")
        return data

    def label(self, path: Path) -> str:
        return "/".join((self._name, *path))

    def _entry(self, member: tarfile.TarInfo) -> TarEntry:
        try:
            path = _path(member.name)
            _check_depth(path, is_directory=member.isdir())
            linked = _path(member.linkname) if member.islnk() else ()
        except ValueError as error:
            path = tuple(name_of(_raw(member.name)).split("/"))
            failure = refusal(self.label(path), str(error))
            return TarEntry(path, "failed", size_bytes=member.size, failure=failure)
        if member.isdir():
            return TarEntry(path, "directory", _metadata(member))
        if not path:
            raise _Malformed("an entry without a name")
        if member.issym():
            metadata = Metadata(None, _metadata(member).mtime)
            target = name_of(_raw(member.linkname))
            return TarEntry(path, "symlink", metadata, target=target)
        if member.islnk():
            return TarEntry(path, "hardlink", linked=linked)
        if member.isfile():
            return TarEntry(path, "file", _metadata(member), member.size)
        failure = refusal(self.label(path), "is neither a file, a directory nor a link")
        return TarEntry(path, "failed", size_bytes=member.size, failure=failure)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except DhtstoreError:
            raise
        except Exception as error:  # tarfile was not made for hostile archives: it may be any
            text = str(error) or type(error).__name__
            failure = refusal(self._name, f"is no archive that can be read: {text}")
            raise failure.hinted("check that it is a tar, and that all of it is there") from error


class _Malformed(Exception):
    """Not one of tarfile's own, which it takes for the end where there were entries before."""


class _Header(tarfile.TarInfo):
    """Of an archive whose end is a block of zeros, and nothing else."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding or "utf-8", errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise _Malformed("it ends early" if len(buf) < 512 else str(error)) from error


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Fed:
    """What was fed and not read yet."""

    def __init__(self) -> None:
        self._data, self._at = bytearray(), 0
        self.ended = False

    @property
    def size_bytes(self) -> int:
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        del self._data[: self._at]
        self._at = 0
        self._data += data

    def peek(self, count: int) -> bytes:
        return bytes(self._data[self._at : self._at + count])

    def read(self, size: int = -1) -> bytes:
        """Fewer at the end, and b"" behind it."""
        if not self.size_bytes and not self.ended:
            raise _Malformed("too little in it for its length")
        data = self.peek(self.size_bytes if size < 0 else size)
        self._at += len(data)
        return data


class _Allowed:
    """Passes ``left_bytes`` on and no more: a header may claim any length."""

    def __init__(self, file: _Readable) -> None:
        self._file = file
        self.left_bytes = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.left_bytes -= len(data)
        if self.left_bytes < -_BUFFER_BYTES:  # what was read ahead
            raise _Malformed("headers without end")
        return data


def _unpacked(fed: _Fed) -> _Readable:
    magic = fed.peek(6)
    if magic.startswith(_GZIP):
        return gzip.GzipFile(fileobj=cast(IO[bytes], fed), mode="rb")
    if magic.startswith(_BZIP2):
        return bz2.BZ2File(cast(IO[bytes], fed))
    return io.BufferedReader(_Xz(fed), _BUFFER_BYTES) if magic == _XZ else fed


class _Xz(io.RawIOBase):
    """As LZMAFile, which knows no bound for what unpacking takes."""

    def __init__(self, fed: _Fed) -> None:
        self._fed = fed
        self._unpacker = _unpacker()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast(bytearray, buffer))
        while True:
            if self._unpacker.eof:
                rest = self._unpacker.unused_data or self._fed.read(_BUFFER_BYTES)
                rest = rest.lstrip(b"\0")  # padding between streams
                if not rest and self._fed.ended and not self._fed.size_bytes:
                    return 0
                self._unpacker = _unpacker()
            else:
                rest = self._fed.read(_BUFFER_BYTES) if self._unpacker.needs_input else b""
                if not rest and self._unpacker.needs_input:
                    raise EOFError("it ends early")
            data = self._unpacker.decompress(rest, len(view))
            if data:
                view[: len(data)] = data
                return len(data)


def _unpacker() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)


def _raw(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def _path(name: str) -> Path:
    """Below the directory it is all put into, as tar unpacks it: what begins with a slash, too.
    Raises ValueError, which says why it cannot be."""
    parts = [part for part in _raw(name).split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise ValueError("leads out by '..'")
    if any(b"\0" in part or len(part) > FILE_NAME_MAX_BYTES for part in parts):
        raise ValueError("has a name that no file can have: nobody could get it back")
    return tuple(name_of(part) for part in parts)


def _check_depth(path: Path, *, is_directory: bool) -> None:
    if len(path) + is_directory > TREE_LEVELS_MAX:
        raise ValueError(f"lies too deep: a tree has at most {TREE_LEVELS_MAX} levels")


def _metadata(member: tarfile.TarInfo) -> Metadata:
    try:
        told = Decimal(member.pax_headers.get("mtime") or str(member.mtime))
        seconds, rest = divmod(told, 1)
        if rest < 0:
            seconds, rest = seconds - 1, rest + 1
        if abs(seconds) > _SECONDS_MAX:
            raise InvalidOperation
        time = int(seconds), int(rest * 10**9)
    except (InvalidOperation, ValueError, OverflowError):
        time = 0, 0
    return Metadata(member.mode & 0o7777, time)


assert STEP_BYTES >= 2 * (2 * CHUNK_SIZE_BYTES + HEADERS_MAX_BYTES + 4 * _BUFFER_BYTES)
