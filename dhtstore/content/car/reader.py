"""The bytes of a CAR, as they come, to its roots and blocks.

Version 1, and what version 2 wraps; its index is passed over, since blocks are verified one by
one.  Holds one section at most.  Everything is hostile: sizes count before there is memory for
them, and an error names the byte at which what is wrong stands.

Source: https://ipld.io/specs/transport/car/
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

from dhtstore.content.car.header import decode_header
from dhtstore.errors import InvalidCid, MalformedCar
from dhtstore.model.cid import Cid, CidPrefix, read_prefix
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, CAR_CID_MAX_BYTES, CAR_HEADER_MAX_BYTES

PRAGMA_V2_BYTES: Final = 11
_HEADER_V2_BYTES: Final = 40  # characteristics, then three numbers of 64 bits
_NUMBERS_AT: Final = 16
_NO_CAR_HINT: Final = (
    "check that it is a CAR, and whole: `dhtstore export` writes one; nothing of it was kept"
)
_VARINT_MAX_BYTES: Final = 9
_SECTION_MAX_BYTES: Final = CAR_CID_MAX_BYTES + BLOCK_SIZE_MAX_BYTES
_KINDS: Final = {
    0x51: "cbor",
    0x71: "dag-cbor",
    0x72: "libp2p-key",
    0x85: "dag-jose",
    0x0129: "dag-json",
    0x0200: "json",
}


class CarBlock(NamedTuple):
    """A section whose bytes are not verified; ``offset`` is where it begins in the file."""

    cid: Cid
    data: bytes
    offset: int


class ForeignBlock(NamedTuple):
    """A section of a ``kind`` that is not stored here and cannot be verified."""

    kind: str
    offset: int


class _Stage(Enum):
    """What comes next."""

    BEGINNING = auto()  # the header of version 1, or what version 2 has in its place
    HEADER_V2 = auto()
    PADDING = auto()
    INNER_HEADER = auto()
    BLOCKS = auto()
    INDEX = auto()


class CarReader:
    """``feed`` bytes, take blocks; then ``end``.  ``roots`` are known after the header, None
    before."""

    def __init__(self) -> None:
        self.roots: tuple[Cid, ...] | None = None
        self._buffer = bytearray()
        self._offset = 0  # of the file, where the buffer begins
        self._stage = _Stage.BEGINNING
        self._payload_begins, self._payload_ends = 0, 0  # of version 2; 0: with the file

    def feed(self, data: bytes) -> Iterator[CarBlock | ForeignBlock]:
        """The blocks that are whole now.  Raises MalformedCar."""
        self._buffer += data
        while True:
            before = self._offset, self._stage
            try:
                block = self._step()
            except MalformedCar as error:
                raise self._perhaps_none(error) from error.__cause__
            if block is not None:
                yield block
            elif (self._offset, self._stage) == before:
                return  # more is needed

    def end(self) -> None:
        """Raises MalformedCar if the file ends where it should not."""
        ended = self._offset + len(self._buffer)
        if self._stage is _Stage.INDEX:
            return
        if self._stage is not _Stage.BLOCKS or self._buffer or ended < self._payload_ends:
            what = "the header" if self.roots is None else "the block"
            text = f"it ends at byte {ended}, within {what} that begins at byte {self._offset}"
            text = text if ended else "it is empty: it ends at byte 0"
            raise self._perhaps_none(MalformedCar(text, ended))

    def _perhaps_none(self, error: MalformedCar) -> MalformedCar:
        """What is wrong before any root is known is rather no CAR than a damaged one."""
        own_words = self.roots is not None or "hint" in vars(error)
        return error if own_words else error.hinted(_NO_CAR_HINT)

    def _step(self) -> CarBlock | ForeignBlock | None:
        if self._stage is _Stage.HEADER_V2:
            self._read_header_v2()
        elif self._stage is _Stage.PADDING:
            self._drop(min(self._payload_begins - self._offset, len(self._buffer)))
            if self._offset == self._payload_begins:
                self._stage = _Stage.INNER_HEADER
        elif self._stage is _Stage.INDEX:
            self._drop(len(self._buffer))
        elif self._stage is _Stage.BLOCKS:
            return self._read_block()
        else:
            self._read_header()
        return None

    def _read_header(self) -> None:
        begins = self._offset
        body = self._section(CAR_HEADER_MAX_BYTES, "header")
        if body is None:
            return
        version, roots = decode_header(body, begins)
        is_pragma = self._stage is _Stage.BEGINNING and self._offset == PRAGMA_V2_BYTES
        if version == 1 and roots is not None:
            self.roots, self._stage = roots, _Stage.BLOCKS
        elif version == 2 and roots is None and is_pragma:
            self._stage = _Stage.HEADER_V2
        else:
            raise MalformedCar(
                f"its header at byte {begins} has version {version}; 1 and 2 are known", begins
            )

    def _read_header_v2(self) -> None:
        if len(self._buffer) < _HEADER_V2_BYTES:
            return
        begins, size_bytes, index = (
            int.from_bytes(self._buffer[at : at + 8], "little")
            for at in range(_NUMBERS_AT, _HEADER_V2_BYTES, 8)
        )
        ends, header_ends = begins + size_bytes, self._offset + _HEADER_V2_BYTES
        if begins < header_ends or not size_bytes or (index and index < ends):
            raise MalformedCar(
                f"its header at byte {self._offset} says that data is where there is none",
                self._offset,
            )
        self._payload_begins, self._payload_ends = begins, ends
        self._drop(_HEADER_V2_BYTES)
        self._stage = _Stage.PADDING

    def _read_block(self) -> CarBlock | ForeignBlock | None:
        if self._payload_ends and self._offset >= self._payload_ends:
            self._stage = _Stage.INDEX
            return None
        begins = self._offset
        body = self._section(_SECTION_MAX_BYTES, "block")
        return None if body is None else _block(begins, body)

    def _section(self, limit_bytes: int, what: str) -> bytes | None:
        """What the next one holds; None until all of it is there."""
        at, buffer = self._offset, self._buffer
        length = _length(buffer, at)
        if length is None:
            return None
        size_bytes, start = length
        if not 0 < size_bytes <= limit_bytes:
            text = f"the {what} at byte {at} has a length of {size_bytes}"
            raise MalformedCar(f"{text}, which is not 1 to {limit_bytes}", at)
        if self._payload_ends and at + start + size_bytes > self._payload_ends:
            raise MalformedCar(f"the {what} at byte {at} is longer than what holds it", at)
        if len(buffer) < start + size_bytes:
            return None
        body = bytes(memoryview(buffer)[start : start + size_bytes])
        self._drop(start + size_bytes)
        return body

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._offset += count


def _block(offset: int, body: bytes) -> CarBlock | ForeignBlock:
    try:
        prefix = read_prefix(body[:CAR_CID_MAX_BYTES])
        if len(body) - prefix.size_bytes > BLOCK_SIZE_MAX_BYTES:
            raise MalformedCar(
                f"the block at byte {offset} is larger than {BLOCK_SIZE_MAX_BYTES} bytes", offset
            )
        if prefix.size_bytes > len(body):
            raise InvalidCid("a CID that ends too early")
        if not prefix.known:
            return ForeignBlock(_kind(prefix), offset)
        cid = Cid.decode(body[: prefix.size_bytes])
    except InvalidCid as error:
        raise MalformedCar(f"the block at byte {offset}: {error}", offset) from error
    return CarBlock(cid, body[prefix.size_bytes :], offset)


def _kind(prefix: CidPrefix) -> str:
    codec = _KINDS.get(prefix.codec, f"codec {prefix.codec:#x}")
    return f"{codec}, hash {prefix.hash_code:#x}"


def _length(buffer: bytearray, offset: int) -> tuple[int, int] | None:
    value = shift = 0
    for at, byte in enumerate(buffer[:_VARINT_MAX_BYTES]):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
    if len(buffer) >= _VARINT_MAX_BYTES:
        raise MalformedCar(f"the length at byte {offset} has no end", offset)
    return None
