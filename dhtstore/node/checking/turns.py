"""Whose question is looked into next: one at a time, and each origin waits once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from dhtstore.errors import PeerRefused


@dataclass(slots=True)
class OriginTurns:
    """One question of each origin stands in the line: however many it asks, the next of another
    origin waits for one of them only, and for ``wait_s`` at most."""

    wait_s: float
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _of_origin: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @asynccontextmanager
    async def of(self, origin: str) -> AsyncIterator[None]:
        """Raises PeerRefused for who would have to wait for too long."""
        own = self._of_origin.setdefault(origin, asyncio.Lock())
        try:
            async with asyncio.timeout(self.wait_s):
                await own.acquire()
                try:
                    await self._looking.acquire()
                except BaseException:
                    own.release()
                    raise
        except TimeoutError as error:
            raise PeerRefused("busy", "others have this node look at much: ask later") from error
        try:
            yield
        finally:
            self._looking.release()
            own.release()
