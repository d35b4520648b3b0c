"""The running fingerprint of a run: SHA-256 over everything that happened, in order.

Two runs are the same run exactly if their digests are equal.  Each entry carries its time, its
kind, both ends and the bytes themselves; with ``lines`` a readable form is written beside it, so
that two runs can be compared with ``diff``.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from typing import TextIO

from dhtstore.model.contact import Address

_HEAD = struct.Struct("<dBQ")  # time, kind, length
_TIMERS_PER_UPDATE = 4096
_TIMER = "timer"


class Trace:
    """Collects the digest of one run.  Entries must come in the order they happened."""

    def __init__(self, lines: TextIO | None = None) -> None:
        self._sha256 = hashlib.sha256()
        self.lines = lines
        self._timers = array("d")
        self._kinds: dict[str, int] = {}
        self._ends: dict[Address, bytes] = {}
        self.entries = 0

    def message(
        self, now_s: float, kind: str, source: Address, target: Address, data: bytes
    ) -> None:
        """A datagram or a frame: who sent what to whom, and (in ``kind``) what became of it."""
        head = _HEAD.pack(now_s, self._kind(kind), len(data))
        ends = self._ends
        source_end = ends.get(source) or self._end(source)
        target_end = ends.get(target) or self._end(target)
        self._add(head + source_end + target_end, data)
        if self.lines is not None:
            digest = hashlib.sha256(data).hexdigest()[:16]
            self.lines.write(f"{now_s:.9f} {kind} {source} {target} {len(data)} {digest}\n")

    def state(self, now_s: float, kind: str, subject: str) -> None:
        """A change of the world or of a node: a crash, a partition, an event it reports."""
        data = subject.encode()
        self._add(_HEAD.pack(now_s, self._kind(kind), len(data)), data)
        if self.lines is not None:
            self.lines.write(f"{now_s:.9f} {kind} {subject}\n")

    def timer(self, when_s: float) -> None:
        """A timer that fired; the loop's ``on_timer``.  Its order among messages counts too."""
        self._timers.append(when_s)
        if len(self._timers) >= _TIMERS_PER_UPDATE:
            self._flush_timers()

    def hexdigest(self) -> str:
        """The digest of everything so far; may be asked for at any time."""
        self._flush_timers()
        return self._sha256.hexdigest()

    def _add(self, head: bytes, data: bytes) -> None:
        if self._timers:
            self._flush_timers()
        self._sha256.update(head + data if len(data) < 2048 else head)
        if len(data) >= 2048:
            self._sha256.update(data)
        self.entries += 1

    def _flush_timers(self) -> None:
        self._sha256.update(self._timers.tobytes())
        del self._timers[:]

    def _kind(self, kind: str) -> int:
        # Numbered in order of first use: the same in every run that is the same.
        number = self._kinds.get(kind)
        if number is None:
            number = self._kinds[kind] = len(self._kinds)
            self._sha256.update(kind.encode() + b"\0")
        return number

    def _end(self, address: Address) -> bytes:
        packed = self._ends[address] = str(address).encode() + b"\0"
        return packed
