"""A bound on the blocks that are read for peers and have not left yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from dhtstore.node.links.link import Link
from dhtstore.params import SERVED_PATIENCE_S, SERVED_READS_MAX


class Share:
    """Room for one read, from when it is entered until it was left and each frame that was made
    of the read has left too, or never will."""

    __slots__ = ("_give_back", "_holders")

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back, self._holders = give_back, 0

    def __enter__(self) -> Share:
        self.hold()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def hold(self) -> None:
        """Keep it until one more ``release``."""
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        if not self._holders:
            self._give_back()


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

    async def take(self, link: Link) -> Share:
        """Room for one read, when there is some; to be entered at once."""
        self._waiting += 1
        self._look_later()
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        self._held[link] = self._held.get(link, 0) + 1
        return Share(partial(self._give_back, link))

    def _give_back(self, link: Link) -> None:
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
