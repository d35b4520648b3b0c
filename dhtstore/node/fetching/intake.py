"""Blocks as they arrive: gathered, verified and kept in worker threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from dhtstore.content.dag.walk import Want
from dhtstore.net.ports import Blocking
from dhtstore.node.fetching.delivery import BlockBytes, Keep
from dhtstore.node.links.buffers import Lease
from dhtstore.node.links.link import Link
from dhtstore.params import FETCH_MEMORY_BYTES, FETCH_VERIFY_BYTES, FETCH_VERIFY_DELAY_S
from dhtstore.tasks import Supervisor

# A block that a holder sent, not verified yet, and the lease of the buffer that it lies in, if it
# has that for itself.
Arrived = tuple[Link, Want, BlockBytes, Lease | None]
OnVerified = Callable[[Sequence[Arrived], Sequence[bool]], None]


class Intake:
    """``on_verified`` is told of blocks and which of them are what was asked for."""

    def __init__(
        self, blocking: Blocking, keep: Keep | None, tasks: Supervisor, on_verified: OnVerified
    ) -> None:
        self._blocking, self._keep = blocking, keep
        self._tasks, self._on_verified = tasks, on_verified
        self._arrived: list[Arrived] = []  # waiting to be verified together
        self._unverified_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()

    def take(self, arrived: Sequence[Arrived], *, unfinished: int) -> None:
        """Verify blocks soon.  ``unfinished`` is how many are still due, these included."""
        if arrived:
            self._unverified_bytes += _size_bytes(arrived)
            self._arrived += arrived
            self._verify_soon(unfinished)

    @property
    def crowded(self) -> bool:
        """Whether verifying can't keep up, so that senders had better wait."""
        return self._unverified_bytes > FETCH_MEMORY_BYTES

    async def room(self) -> None:
        """Wait until it is no longer crowded."""
        while self.crowded:
            self._room.clear()
            await self._room.wait()

    def _verify_soon(self, unfinished: int) -> None:
        """Verify what has arrived: now if it is much or nothing else is due, else in a moment,
        together with what comes until then."""
        much = _size_bytes(self._arrived) >= FETCH_VERIFY_BYTES
        if much or len(self._arrived) >= unfinished:
            self._verify_now()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(FETCH_VERIFY_DELAY_S, self._verify_now)

    def _verify_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        arrived, self._arrived = self._arrived, []
        if arrived and not self._tasks.closed:
            self._tasks.spawn(self._verify(arrived), "verify")

    async def _verify(self, arrived: list[Arrived]) -> None:
        right = await self._blocking.run(verify_and_keep, arrived, self._keep)
        self._unverified_bytes -= _size_bytes(arrived)
        self._room.set()
        self._on_verified(arrived, right)


def verify_and_keep(arrived: Sequence[Arrived], keep: Keep | None) -> list[bool]:
    """Which blocks hash to their CIDs; those are kept.  Runs in a worker thread."""
    right = [want.cid.matches(data) for _, want, data, _ in arrived]
    if keep is not None:
        pairs = [(want.cid, data) for _, want, data, _ in arrived]
        keep([pair for pair, good in zip(pairs, right, strict=True) if good])
    return right


def _size_bytes(arrived: Sequence[Arrived]) -> int:
    return sum(len(data) for _, _, data, _ in arrived)
