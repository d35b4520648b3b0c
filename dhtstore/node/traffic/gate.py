"""A limit in one direction: who moves bytes waits here for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from dhtstore.params import (
    LIMIT_MIN_BYTES_PER_S,
    LIMIT_PORTION_S,
    LIMITED_PORTION_MAX_BYTES,
    LIMITED_PORTION_MIN_BYTES,
)
from dhtstore.transfer.fair_queue import FairQueue, Payer, Turn
from dhtstore.transfer.limiter import RateBucket
from dhtstore.transfer.priority import Priority

Granted = Callable[[], None]


class Gate:
    """Open while ``limit`` (bytes a second) is None."""

    def __init__(self) -> None:
        self._bucket: RateBucket | None = None
        self._queue: FairQueue[Granted] = FairQueue()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> int | None:
        return None if self._bucket is None else int(self._bucket.bytes_per_s)

    @limit.setter
    def limit(self, bytes_per_s: int | None) -> None:
        """From now on, also for who waits already."""
        if bytes_per_s == self.limit:
            return
        now = asyncio.get_running_loop().time()
        if bytes_per_s is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = RateBucket(bytes_per_s, now)
        else:
            self._bucket.retune(bytes_per_s, now)
        self._let_through()

    @property
    def portion_bytes(self) -> int:
        """How much moves at a time: so little that others have a turn soon."""
        limit = self.limit or LIMITED_PORTION_MAX_BYTES / LIMIT_PORTION_S
        portion = int(limit * LIMIT_PORTION_S)
        return min(max(portion, LIMITED_PORTION_MIN_BYTES), LIMITED_PORTION_MAX_BYTES)

    def charge(self, count: int) -> None:
        """So many bytes more have moved than somebody was let through for; below 0: fewer."""
        if self._bucket is not None:
            self._bucket.charge(count, asyncio.get_running_loop().time())

    def pay(self, payer: Payer, count: int, priority: Priority) -> None:
        """As ``charge``, and what is more counts when ``payer``'s next turn comes."""
        self.charge(count)
        if self._bucket is not None and count > 0:
            self._queue.pay(payer, count, priority)

    def join(
        self, granted: Granted, payer: Payer, size_bytes: int, priority: Priority
    ) -> Turn[Granted]:
        """Call ``granted`` when so many bytes of ``payer`` may move: at once, where nobody waits.
        The turn is what to ``leave`` with."""
        turn = self._queue.join(granted, payer, size_bytes, priority)
        self._let_through()
        return turn

    def leave(self, turn: Turn[Granted]) -> None:
        """Whoever joined waits no more."""
        self._queue.leave(turn)

    async def passed(
        self, payer: Payer, size_bytes: int, priority: Priority = Priority.FOREGROUND
    ) -> None:
        """Wait until so many bytes of ``payer`` may move."""
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def granted() -> None:
            if not passed.done():
                passed.set_result(None)

        turn = self.join(granted, payer, size_bytes, priority)
        try:
            await passed
        finally:
            self.leave(turn)

    def _let_through(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._queue:
            now = loop.time()
            wait_s = 0.0 if self._bucket is None else self._bucket.wait_s(now)
            if wait_s > 0:
                self._timer = loop.call_at(now + wait_s, self._let_through)
                return
            granted, size_bytes = self._queue.next()
            self.charge(size_bytes)
            granted()


def shared_by_most(gate: Gate) -> float:
    """Among how many a limit can be shared so that none of them looks stalled."""
    return inf if gate.limit is None else max(1, gate.limit // LIMIT_MIN_BYTES_PER_S)
