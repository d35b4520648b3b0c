"""The header of a CAR: a map of DAG-CBOR with the version and the roots.

Source: https://ipld.io/specs/transport/car/carv1/ and RFC 8949 section 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dhtstore.errors import InvalidCid, MalformedCar
from dhtstore.model.cid import Cid
from dhtstore.params import CAR_CID_MAX_BYTES, CAR_ROOTS_MAX

_UNSIGNED, _BYTES, _TEXT, _LIST, _MAP, _TAG = 0, 2, 3, 4, 5, 6  # major types
_CID_TAG: Final = 42
_SEVERAL: Final = "export fewer roots in one file, or a directory that links to them"
_IDENTITY_BASE: Final = b"\0"  # stands before a CID in DAG-CBOR


def encode_header(roots: Iterable[Cid]) -> bytes:
    """Version 1."""
    cids = [_head(_TAG, _CID_TAG) + _sized(_BYTES, _IDENTITY_BASE + root.raw) for root in roots]
    named = _sized(_TEXT, b"roots") + _head(_LIST, len(cids)) + b"".join(cids)
    return _head(_MAP, 2) + named + _sized(_TEXT, b"version") + _head(_UNSIGNED, 1)


def decode_header(raw: bytes, offset: int) -> tuple[int, tuple[Cid, ...] | None]:
    """The version, and the roots unless they stand elsewhere.  Raises MalformedCar; ``offset`` is
    where in the file the section of the header begins."""
    reader = _Reader(raw, offset)
    version: int | None = None
    roots: tuple[Cid, ...] | None = None
    for _ in range(reader.head(_MAP, 2)):
        key = reader.sized(_TEXT, 16)
        if key == b"version" and version is None:
            version = reader.head(_UNSIGNED, 1 << 63)
        elif key == b"roots" and roots is None:
            roots = reader.roots()
        else:
            raise reader.wrong()
    if reader.at != len(raw) or version is None:
        raise reader.wrong()
    return version, roots


class _Reader:
    def __init__(self, raw: bytes, offset: int) -> None:
        self._raw, self._offset, self.at = raw, offset, 0

    def head(self, major: int, at_most: int) -> int:
        """The number behind a major type."""
        first = self._take(1)[0]
        if first >> 5 != major:
            raise self.wrong()
        value = first & 0x1F
        if value >= 24:
            if value > 27:  # of indefinite length, which DAG-CBOR has not
                raise self.wrong()
            value = int.from_bytes(self._take(1 << (value - 24)), "big")
        if value > at_most:
            raise self.wrong()
        return value

    def sized(self, major: int, at_most: int) -> bytes:
        return self._take(self.head(major, at_most))

    def roots(self) -> tuple[Cid, ...]:
        count = self.head(_LIST, 1 << 63)
        if count > CAR_ROOTS_MAX:
            text = f"its header at byte {self._offset} names {count:,} roots, more than"
            raise MalformedCar(f"{text} {CAR_ROOTS_MAX:,}", self._offset).hinted(_SEVERAL)
        return tuple(self._cid() for _ in range(count))

    def _cid(self) -> Cid:
        if self.head(_TAG, _CID_TAG) != _CID_TAG:
            raise self.wrong()
        raw = self.sized(_BYTES, 1 + CAR_CID_MAX_BYTES)
        if raw[:1] != _IDENTITY_BASE:
            raise self.wrong()
        try:
            return Cid.decode(raw[1:])
        except InvalidCid as error:
            text = f"a root in its header at byte {self._offset}: {error}"
            raise MalformedCar(text, self._offset).hinted(error.hint) from error

    def _take(self, count: int) -> bytes:
        taken = self._raw[self.at : self.at + count]
        if len(taken) < count:
            raise self.wrong()
        self.at += count
        return taken

    def wrong(self) -> MalformedCar:
        text = f"its header at byte {self._offset} is not understood, at byte {self.at} within it"
        return MalformedCar(text, self._offset)


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes((major << 5 | value,))
    for more, width in ((24, 1), (25, 2), (26, 4)):
        if value < 1 << 8 * width:
            return bytes((major << 5 | more,)) + value.to_bytes(width, "big")
    raise ValueError(f"{value} is too large for a header")


def _sized(major: int, data: bytes) -> bytes:
    return _head(major, len(data)) + data
