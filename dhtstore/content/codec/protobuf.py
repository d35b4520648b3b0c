"""The few protobuf pieces dag-pb and UnixFS are made of (Protocol Buffers encoding guide).

Decoding never raises anything but MalformedDag.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dhtstore.errors import MalformedDag

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5
_FIXED_BYTES: Final = {FIXED64: 8, FIXED32: 4}
_VARINT_MAX_BITS: Final = 64

Value = int | bytes


def varint(value: int) -> bytes:
    """``value`` (not negative) as a protobuf varint."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(field: int, value: int) -> bytes:
    return varint(field << 3 | VARINT) + varint(value)


def bytes_field(field: int, value: bytes | bytearray | memoryview) -> bytes:
    return b"".join((varint(field << 3 | BYTES), varint(len(value)), value))


def fixed32_field(field: int, value: int) -> bytes:
    return varint(field << 3 | FIXED32) + value.to_bytes(4, "little")


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint at ``at`` and where it ends.  Raises MalformedDag."""
    value = shift = 0
    try:
        if data[at] < 0x80:
            return data[at], at + 1
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift >= _VARINT_MAX_BITS:
                raise MalformedDag("a block holds a number longer than 64 bits")
    except IndexError:
        raise MalformedDag("a block ends inside a number") from None
    if value >> _VARINT_MAX_BITS:
        raise MalformedDag("a block holds a number longer than 64 bits")
    return value, at


def fields(data: bytes, count_max: int) -> Iterator[tuple[int, int, Value]]:
    """Every (field number, wire type, value) of one message.  Raises MalformedDag, also for more
    than ``count_max`` fields: whoever reads knows how many can mean something."""
    at, end = 0, len(data)
    while at < end:
        if count_max <= 0:
            raise MalformedDag("a message of too many fields")
        count_max -= 1
        key, at = read_varint(data, at)
        wire_type = key & 7
        if wire_type == VARINT:
            value, at = read_varint(data, at)
            yield key >> 3, wire_type, value
            continue
        start, at = _span(data, at, wire_type)
        yield key >> 3, wire_type, data[start:at]


def _span(data: bytes, at: int, wire_type: int) -> tuple[int, int]:
    if wire_type == BYTES:
        length, at = read_varint(data, at)
    elif wire_type in _FIXED_BYTES:
        length = _FIXED_BYTES[wire_type]
    else:
        raise MalformedDag(f"a block holds a field of unknown wire type {wire_type}")
    if at + length > len(data):
        raise MalformedDag("a block ends inside a field")
    return at, at + length
