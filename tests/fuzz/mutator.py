"""Valid bytes made wrong: byte by byte, or within the structure that msgpack gives them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

_encode: Final = msgspec.msgpack.encode
_decode: Final = msgspec.msgpack.decode
BYTES_MAX: Final = 4096  # of what one mutation makes of a datagram or a frame's header
INTEGERS: Final = (
    *(0, 1, -1, 2, 19, 20, 21, 63, 64, 65, 127, 128, 255, 256, 65_535, 65_536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**31), -(2**63)),
)
LENGTHS: Final = (0, 1, 3, 18, 19, 20, 21, 31, 32, 33, 38, 39, 50, 51, 64, 65, 128, 513, 1000)
TEXTS: Final = ("", "\0", "ping", "no_such", "x" * 33, "x" * 600, "\u202e", "\U0001f4a3", "a\nb")
# What no encoder of ours writes: nothing at all, bytes that are no UTF-8, extensions, lengths that
# promise more than comes, integers longer than they need be, a map with one key twice, nesting.
ODD: Final = (
    *(b"", b"\xc1", b"\xa2\xff\xfe", b"\xd4\x01\x00", b"\xc7\xff\x00", b"\xd6\xff\0\0\0\0"),
    *(b"\xc6\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\0\1\0\0"),
    *(b"\xcf" + bytes(8), b"\xd3" + b"\xff" * 8, b"\xca\x7f\xc0\0\0", b"\xcb\x7f\xf0" + bytes(6)),
    *(b"\x82\xa1a\x01\xa1a\x02", b"\x91" * 40, b"\x91" * 1000, b"\x81\xa1a" * 300, b"\x81\x90\x90"),
)
_ODD: Final = tuple(map(msgspec.Raw, ODD))


class Mutator:
    """``others`` are valid bytes to splice in."""

    def __init__(self, rng: random.Random, others: Sequence[bytes]) -> None:
        self.rng, self._others = rng, others
        self._ways: tuple[Callable[[bytearray], None], ...] = (
            self._flip, self._set, self._delete, self._insert, self._repeat, self._splice,
            self._cut, self._number,
        )  # fmt: skip

    def message(self, packed: bytes) -> bytes:
        """Of a msgpack message: within its structure mostly, and byte by byte."""
        dice = self.rng.random()
        if dice < 0.65:
            packed = self._structured(packed)
        if dice > 0.55:
            packed = self.raw(packed)
        return packed

    def raw(self, data: bytes) -> bytes:
        """Of anything."""
        changed = bytearray(data or b"\0")
        for _ in range(1 + min(7, int(self.rng.expovariate(0.8)))):
            self.rng.choice(self._ways)(changed)
            changed = changed or bytearray(self.rng.randbytes(1))
        return bytes(changed[:BYTES_MAX])

    # --- bytes ------------------------------------------------------------------------------

    def _place(self, data: bytearray) -> int:
        """The beginning is where types and lengths are."""
        size = len(data)
        return self.rng.randrange(size if self.rng.random() < 0.6 else min(size, 24))

    def _flip(self, data: bytearray) -> None:
        data[self._place(data)] ^= 1 << self.rng.randrange(8)

    def _set(self, data: bytearray) -> None:
        data[self._place(data)] = self.rng.choice((0, 1, 0x7F, 0x80, 0xC0, 0xC1, 0xDC, 0xDF, 0xFF))

    def _delete(self, data: bytearray) -> None:
        at = self._place(data)
        del data[at : at + self.rng.choice((1, 1, 2, 4, 20, 40))]

    def _insert(self, data: bytearray) -> None:
        at = self._place(data)
        data[at:at] = self.rng.randbytes(self.rng.choice((1, 1, 2, 4, 20, 40)))

    def _repeat(self, data: bytearray) -> None:
        at = self._place(data)
        data[at:at] = data[at : at + self.rng.choice((1, 4, 20, 38))] * self.rng.choice((1, 2, 30))

    def _splice(self, data: bytearray) -> None:
        other = self.rng.choice(self._others)
        data[self._place(data) :] = other[self.rng.randrange(len(other)) :]

    def _cut(self, data: bytearray) -> None:
        del data[self._place(data) :]

    def _number(self, data: bytearray) -> None:
        at, width = self._place(data), self.rng.choice((1, 2, 4, 8))
        number = self.rng.choice(INTEGERS) % (1 << 8 * width)
        data[at : at + width] = number.to_bytes(width, "big")

    # --- structure --------------------------------------------------------------------------

    def _structured(self, packed: bytes) -> bytes:
        """The message with one or two values changed; byte by byte where it is no message."""
        try:
            value = _decode(packed)
            for _ in range(self.rng.choice((1, 1, 2))):
                value = self._changed(value)
            return _encode(value)[:BYTES_MAX]
        except (msgspec.MsgspecError, ValueError, OverflowError, TypeError, RecursionError):
            return self.raw(packed)

    def _changed(self, value: Any) -> Any:
        if isinstance(value, list) and self.rng.random() < 0.9:
            return self._changed_list(value)
        return self._in_its_place(value)

    def _changed_list(self, items: list[Any]) -> list[Any]:
        rng, way = self.rng, self.rng.random()
        at = rng.randrange(len(items) + 1)
        if way < 0.10:
            return [*items[:at], self._in_its_place(None), *items[at:]]
        if not items:
            return [self._in_its_place(None)]
        at = min(at, len(items) - 1)
        if way < 0.20:
            return [*items[:at], *items[at + 1 :]]
        if way < 0.26:
            return items + items[at : at + 1] * rng.choice((1, 2, 70))
        if way < 0.32:
            return rng.sample(items, len(items))
        return [*items[:at], self._changed(items[at]), *items[at + 1 :]]

    def _in_its_place(self, value: Any) -> Any:
        """A value of the same type that is unusual; or of any other type."""
        rng = self.rng
        if rng.random() < 0.6:
            if isinstance(value, bytes):
                return self._unusual_bytes(value)
            if isinstance(value, bool):
                return not value
            if isinstance(value, int):
                return rng.choice((value + rng.choice((-1, 1)), rng.choice(INTEGERS)))
            if isinstance(value, str):
                return rng.choice((*TEXTS, value[:-1], value + "s", value.upper()))
        return rng.choice((
            None, True, 0.5, float("nan"), rng.choice(INTEGERS), rng.choice(TEXTS),
            rng.randbytes(rng.choice(LENGTHS)), [], [[]], {}, {"code": "x"}, rng.choice(_ODD),
            rng.choice(_ODD),
        ))  # fmt: skip

    def _unusual_bytes(self, value: bytes) -> bytes:
        if self.rng.random() < 0.5 and value:
            return self.raw(value)
        size = self.rng.choice(LENGTHS)
        return (value + self.rng.randbytes(size))[:size] if self.rng.random() < 0.5 else value[1:]
