"""The bytes of all blocks of a world, each once; what was generated is made again when it is read.

Disks give ``Contents.keep`` each block that they store and get what stands for its bytes.  Only
bytes that are what their multihash says are shared: a wrong copy stays that of one disk.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Protocol
from weakref import WeakValueDictionary

from dhtstore.model.cid import RAW, Cid
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.lent import Bytes
from dhtstore.store.blocks.memory import KeptBytes

PIECE_BYTES: Final = MIB  # of generated content: what is made at once
_AT_HAND_MAX: Final = 32  # pieces
_REMADE_MIN_BYTES: Final = 4 * KIB  # smaller blocks are kept: it costs more to make them again
_NEEDLE_BYTES: Final = 64


class Origin(Protocol):
    """Content that follows from a seed; hashable."""

    @property
    def size_bytes(self) -> int: ...

    def piece(self, number: int) -> bytes:
        """Each has ``PIECE_BYTES``, the last may have less."""


class Content:
    """Bytes that are what their multihash says."""

    __slots__ = ("__weakref__", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __bytes__(self) -> bytes:
        return self._data


class _Remade(Content):
    """A part of an origin."""

    __slots__ = ("_contents", "_offset", "_origin", "_size_bytes")

    def __init__(self, contents: Contents, origin: Origin, offset: int, size_bytes: int) -> None:
        super().__init__(b"")
        self._contents, self._origin = contents, origin
        self._offset, self._size_bytes = offset, size_bytes

    def __len__(self) -> int:
        return self._size_bytes

    def __bytes__(self) -> bytes:
        return self._contents.part(self._origin, self._offset, self._size_bytes)


class Contents:
    """Of one world; so many pieces of generated content are ``at_hand``, those used last."""

    def __init__(self, at_hand: int = _AT_HAND_MAX) -> None:
        self._at_hand_max = at_hand
        self._known: WeakValueDictionary[bytes, Content] = WeakValueDictionary()
        self._at_hand: OrderedDict[tuple[Origin, int], bytes] = OrderedDict()

    def __len__(self) -> int:
        """How many blocks are shared."""
        return len(self._known)

    def keep(self, multihash: bytes, data: Bytes) -> KeptBytes:
        """What stands for the bytes of a block."""
        known = self._known.get(multihash)
        if known is not None:
            return known if bytes(known) == data else bytes(data)
        if not Cid(bytes((1, RAW)) + multihash).matches(data):
            return bytes(data)
        kept = self._known[multihash] = self._found(bytes(data))
        return kept

    def piece(self, origin: Origin, number: int) -> bytes:
        """Of generated content, made again unless it is at hand."""
        name = origin, number
        found = self._at_hand.get(name)
        if found is None:
            found = self._at_hand[name] = origin.piece(number)
            if len(self._at_hand) > self._at_hand_max:
                self._at_hand.popitem(last=False)
        self._at_hand.move_to_end(name)
        return found

    def part(self, origin: Origin, offset: int, size_bytes: int) -> bytes:
        """Of generated content, less where it ends before."""
        first, last = offset // PIECE_BYTES, (offset + size_bytes - 1) // PIECE_BYTES
        pieces = [self.piece(origin, number) for number in range(first, last + 1)]
        if len(pieces) == 1 and len(pieces[0]) == size_bytes:
            return pieces[0]
        start = offset - first * PIECE_BYTES
        return b"".join(pieces)[start : start + size_bytes]

    def _found(self, data: bytes) -> Content:
        """Where in a piece at hand a block comes from; objects are stored while theirs are."""
        if len(data) < _REMADE_MIN_BYTES:
            return Content(data)
        for (origin, number), piece in list(reversed(self._at_hand.items())):
            start = piece.find(data[:_NEEDLE_BYTES])
            offset = number * PIECE_BYTES + start
            fits = start >= 0 and offset + len(data) <= origin.size_bytes
            if fits and self.part(origin, offset, len(data)) == data:
                return _Remade(self, origin, offset, len(data))
        return Content(data)
