"""What operations of this node bring in while they are under way, and what they leave behind.

Their blocks are protected from collection until what keeps them is written down.  On a client the
local copy of a put is only staging, which is dropped when no put needs it: its store has no limit
that would evict it.  On a storage node what a failed put wrote is collected soon.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

from dhtstore.model.cid import Cid
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.warnings import Warnings


class Granted(Protocol):
    """As much of a link as matters here."""

    granted: int


class Staging:
    """``putting`` are the roots that are being put, ``collector`` removes what is left."""

    def __init__(self, collector: Collector, warnings: Warnings, *, keeps_all: bool) -> None:
        """``keeps_all`` on a storage node: there a put's own copy is one that was asked for."""
        self.keeps_all, self.putting = keeps_all, Counter[Cid]()
        self.collector, self._warnings = collector, warnings
        warnings.can_be_tried("staging", self.drop)
        self._at_work = self._for_user = 0
        self._user_done = asyncio.Event()
        self._user_done.set()
        self._left = not keeps_all  # what nobody was told of: until it was dropped

    def may_show(self, link: Granted) -> bool:
        """Whether a peer may know what is here: while there is something that nobody was told of,
        only one that is asked to hold some of it."""
        return not self._left or link.granted > 0

    @asynccontextmanager
    async def bringing(self) -> AsyncIterator[None]:
        """Around whatever brings blocks in and leaves nothing if it fails."""
        self._at_work += 1
        self._left = not self.keeps_all
        try:
            async with self.collector.guards.guarded():
                yield
        finally:
            self._at_work -= 1
            await self._last_out()

    @asynccontextmanager
    async def for_user(self) -> AsyncIterator[None]:
        """The same around what this node's user asked for: what it leaves is collected."""
        self._for_user += 1
        self._user_done.clear()
        try:
            async with self.bringing():
                yield
        except BaseException:
            self.collector.left()
            raise
        finally:
            self._for_user -= 1
            if not self._for_user:
                self._user_done.set()

    @property
    def at_work_for_user(self) -> bool:
        return not self._user_done.is_set()

    async def user_done(self) -> None:
        """Until nothing that this node's user asked for comes in any more."""
        await self._user_done.wait()

    @contextmanager
    def named(self, root: Cid) -> Iterator[None]:
        """What is put turned out to be ``root``."""
        self.putting[root] += 1
        try:
            yield
        finally:
            self.putting -= Counter([root])

    async def drop(self) -> None:
        """On a client, forget what is neither pinned nor cached, unless a put needs it."""
        if not self.keeps_all:
            await self._last_out()

    async def _last_out(self) -> None:
        if self.keeps_all or self._at_work:
            return
        with self._warnings.tolerated("staging", "what was staged cannot be dropped"):
            collected = await self.collector.collect()
            if not self._at_work:
                self._left = bool(collected.doubts)
