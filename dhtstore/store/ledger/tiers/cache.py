"""Roots whose blocks are here although nothing keeps them: they go first when room is wanted."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from dhtstore.errors import InvalidCid
from dhtstore.model.cid import Cid
from dhtstore.params import CACHE_ROOTS_MAX, CACHE_USE_WRITTEN_S
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, encode, sound
from dhtstore.trace import Tracer, no_trace

_PREFIX: Final = b"cache/"


class _Row(msgspec.Struct, frozen=True, array_like=True):
    size_bytes: int
    used_unix_s: float


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """``size_bytes`` is what the going of ``root`` gives back, once those before it are gone: what
    bringing it has stored until a collection has looked; ``used_unix_s`` its last use."""

    root: Cid
    size_bytes: int
    used_unix_s: float


class Cache:
    """Entries by root.  A damaged row is dropped when it is met: what it named is garbage then.
    Thread-safe."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer
        self._lock = threading.Lock()
        self._size_bytes: int | None = None  # of all, once somebody asked

    def add(self, root: Cid, size_bytes: int, now_unix_s: float) -> None:
        """Note that ``size_bytes`` more are here of ``root``, used now.  Of more roots than
        CACHE_ROOTS_MAX the one that was not used for longest is forgotten."""
        with self._lock:
            known = self._get(root)
            more_bytes = known.size_bytes if known else 0
            row = _Row(size_bytes + more_bytes, now_unix_s)
            self._size_bytes = None
            entries = self._list()
            over = len(entries) + (known is None) - CACHE_ROOTS_MAX
            gone = [_key(each.root) for each in entries[: max(0, over)]]
            self._table.write([(_key(root), encode(row))], gone)

    def used(self, root: Cid, now_unix_s: float) -> None:
        """Its last use is now, if it is here; written down once in CACHE_USE_WRITTEN_S."""
        with self._lock:
            known = self._get(root)
            if known and abs(now_unix_s - known.used_unix_s) >= CACHE_USE_WRITTEN_S:
                row = _Row(known.size_bytes, now_unix_s)
                self._table.write([(_key(root), encode(row))])

    def get(self, root: Cid) -> CacheEntry | None:
        with self._lock:
            return self._get(root)

    def drop(self, roots: Iterable[Cid]) -> None:
        """Forget entries; what they named is garbage unless something else names it."""
        gone = [_key(root) for root in roots]
        with self._lock:
            if gone:
                self._size_bytes = None
                self._table.write([], gone)

    def kept(self, *roots: Cid) -> None:
        """They are kept from now on, so they no more give way: nobody may count on their room."""
        with self._lock:
            gone = [_key(root) for root in roots if self._get(root) is not None]
            if gone:
                self._size_bytes = None
                self._table.write([], gone)

    def settle(self, entries: Sequence[CacheEntry], alone_bytes: Mapping[Cid, int]) -> None:
        """So much is here of each that nothing else needs, and what several need is counted with
        the one that goes last.  An entry that has changed since is left as it is."""
        with self._lock:
            found = [
                (_key(each.root), encode(_Row(alone_bytes[each.root], each.used_unix_s)))
                for each in entries
                if each.root in alone_bytes and self._get(each.root) == each
            ]
            if found:
                self._size_bytes = None
                self._table.write(found)

    def oldest_first(self) -> Sequence[CacheEntry]:
        """By last use."""
        with self._lock:
            return self._list()

    def size_bytes(self) -> int:
        """What the going of all entries gives back."""
        with self._lock:
            if self._size_bytes is None:
                self._size_bytes = sum(each.size_bytes for each in self._list())
            return self._size_bytes

    def _get(self, root: Cid) -> CacheEntry | None:
        raw = self._table.get(_key(root))
        return None if raw is None else self._entry(_key(root), raw)

    def _list(self) -> list[CacheEntry]:
        rows = scan_all(self._table, _PREFIX)
        entries = [entry for key, raw in rows if (entry := self._entry(key, raw))]
        return sorted(entries, key=lambda each: (each.used_unix_s, each.root.raw))

    def _entry(self, key: bytes, raw: bytes) -> CacheEntry | None:
        row = sound(_decode, key, raw, self._tracer)
        try:
            root = Cid.decode(key[len(_PREFIX) :])
        except (InvalidCid, IndexError):
            row = None
        if row is None:
            self._size_bytes = None
            self._table.write([], [key])
            return None
        return CacheEntry(root, row.size_bytes, row.used_unix_s)


def _key(root: Cid) -> bytes:
    return _PREFIX + root.raw


def _decode(raw: bytes) -> _Row:
    return decode(_Row, raw)
