"""Blocks to the bytes of a CARv1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dhtstore.content.car.header import encode_header
from dhtstore.content.dag.seen import Seen
from dhtstore.model.cid import Cid
from dhtstore.params import CAR_SEEN_MAX

Bytes = bytes | memoryview


def car_header(roots: Sequence[Cid]) -> bytes:
    """What stands before the first block."""
    header = encode_header(roots)
    return varint(len(header)) + header


def section_head(cid: Cid, size_bytes: int) -> bytes:
    """What stands before the bytes of a block."""
    return varint(len(cid.raw) + size_bytes) + cid.raw


class CarWriter:
    """Takes blocks in the order in which they stand; each goes out once.  ``blocks`` did, and
    ``size_bytes`` of them."""

    def __init__(self) -> None:
        self.blocks = self.size_bytes = 0
        self._written = Seen(CAR_SEEN_MAX)

    def take(self, cid: Cid, data: Bytes) -> Iterator[Bytes]:
        """The bytes of the file that it comes to."""
        if self._written.is_new(cid.raw):
            self.blocks += 1
            self.size_bytes += len(data)
            yield section_head(cid, len(data))
            yield data


def varint(value: int) -> bytes:
    """LEB128, unsigned."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
