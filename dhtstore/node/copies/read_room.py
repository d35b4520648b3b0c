"""A bound on the blocks that are read for peers and not sent yet."""

from __future__ import annotations

import asyncio

from dhtstore.node.links.link import Link
from dhtstore.params import SERVED_PATIENCE_S, SERVED_READS_MAX


class ReadRoom:
    """Memory for SERVED_READS_MAX reads, first come first served.  While somebody waits for
    one, peers that read nothing for SERVED_PATIENCE_S lose their link: else a few of them
    would shut the node off for all."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(SERVED_READS_MAX)
        self._held: dict[Link, int] = {}
        self._waiting = 0
        self._look: asyncio.TimerHandle | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody waits."""
        return self._waiting > 0

    async def take(self, link: Link) -> None:
        """Room for one read, when there is some."""
        self._waiting += 1
        self._look_later()
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        self._held[link] = self._held.get(link, 0) + 1

    def give_back(self, link: Link) -> None:
        self._held[link] -= 1
        if not self._held[link]:
            del self._held[link]
        self._free.release()

    def _look_later(self) -> None:
        if self._look is None and self._free.locked():
            loop = asyncio.get_running_loop()
            self._look = loop.call_later(SERVED_PATIENCE_S / 3, self._end_stalled)

    def _end_stalled(self) -> None:
        self._look = None
        if not self._waiting:
            return
        for link in list(self._held):
            if link.stalled_s >= SERVED_PATIENCE_S:
                link.abandon("the peer reads nothing while others wait")
        self._look_later()
