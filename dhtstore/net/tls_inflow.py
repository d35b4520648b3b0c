"""Decrypted bytes on their way to whoever reads a stream."""

from __future__ import annotations

import asyncio
from typing import Final

from dhtstore.net.tls_engine import TlsEngine

SPILL_BYTES: Final = 64 * 1024


class TlsInflow:
    """Into the reader's own buffer while there is a reader, else into a small spill buffer.

    ``reader`` waits for its buffer to be full; ``spilt_bytes`` are ready at once;
    ``received_bytes`` have come in all.
    """

    def __init__(self, engine: TlsEngine) -> None:
        self._engine = engine
        self._spill = bytearray()
        self._target: memoryview | None = None
        self.received_bytes = 0
        self.reader: asyncio.Future[None] | None = None

    @property
    def spilt_bytes(self) -> int:
        return len(self._spill)

    @property
    def due_bytes(self) -> int:
        """What the reader still waits for."""
        return 0 if self._target is None else len(self._target)

    def take(self, count: int) -> bytes:
        """The first of what was spilt."""
        taken = bytes(self._spill[:count])
        del self._spill[:count]
        return taken

    def expect(self, target: memoryview) -> asyncio.Future[None]:
        """Fill ``target`` from now on; the future is done when it is full."""
        self._target, self.reader = target, asyncio.get_running_loop().create_future()
        return self.reader

    def forget(self) -> None:
        """Nobody reads any more."""
        self._target = self.reader = None

    def fill(self) -> bool:
        """Decrypt what has come; whether there is no place for more.  Raises ssl.SSLError,
        ssl.SSLZeroReturnError when the peer has said goodbye."""
        return self._fill_target() and self._fill_spill()

    def _fill_target(self) -> bool:
        target = self._target
        if target is None:
            return True
        count = self._engine.decrypt_into(target)
        self.received_bytes += count
        if count < len(target):
            self._target = target[count:]
            return False
        self._target = None
        if self.reader is not None and not self.reader.done():
            self.reader.set_result(None)
        return True

    def _fill_spill(self) -> bool:
        while (room := SPILL_BYTES - len(self._spill)) > 0:
            plain = self._engine.decrypt(room)
            if not plain:
                return False
            self._spill += plain
            self.received_bytes += len(plain)
        return True
