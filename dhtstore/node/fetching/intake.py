"""Blocks as they arrive: gathered, verified, kept and read in worker threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from dhtstore.content.codec.unixfs import read_node
from dhtstore.content.dag.walk import Want
from dhtstore.errors import HomeUnusable, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Blocking
from dhtstore.node.context import Disk
from dhtstore.node.fetching.delivery import BlockBytes, Keep
from dhtstore.node.fetching.opening import ReadBlock, Reading, read_block
from dhtstore.node.links.buffers import Lease
from dhtstore.node.links.link import Link
from dhtstore.params import FETCH_VERIFY_BLOCKS, FETCH_VERIFY_BYTES, FETCH_VERIFY_DELAY_S
from dhtstore.tasks import Supervisor

# A block that a holder sent, not verified yet, and the lease of the buffer that it lies in.
Arrived = tuple[Link, Want, BlockBytes, Lease]
OnVerified = Callable[[Sequence[Arrived], Sequence[ReadBlock | None]], None]


class Intake:
    """``on_verified`` is told of blocks and what they say, None of one that is not what was asked
    for.  ``at_work`` while there are blocks that it was not told of."""

    def __init__(
        self,
        blocking: Blocking,
        keep: Keep,
        tasks: Supervisor,
        on_verified: OnVerified,
        read: Reading = read_node,
    ) -> None:
        self._blocking, self._keep = blocking, keep
        self._tasks, self._on_verified, self._read = tasks, on_verified, read
        self._arrived: list[Arrived] = []  # waiting to be verified together
        self._arrived_bytes = self._verifying = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def at_work(self) -> bool:
        return bool(self._arrived or self._verifying)

    def take(self, arrived: Sequence[Arrived], *, unfinished: int) -> None:
        """Verify blocks soon.  ``unfinished`` is how many are still due, these included."""
        if arrived:
            self._arrived_bytes += sum(len(data) for _, _, data, _ in arrived)
            self._arrived += arrived
            self._verify_soon(unfinished)

    def _verify_soon(self, unfinished: int) -> None:
        """Verify what has arrived: now if it is much or nothing else is due, else in a moment,
        together with what comes until then."""
        many = len(self._arrived) >= min(unfinished, FETCH_VERIFY_BLOCKS)
        if many or self._arrived_bytes >= FETCH_VERIFY_BYTES:
            self._verify_now()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(FETCH_VERIFY_DELAY_S, self._verify_now)

    def _verify_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        arrived, self._arrived, self._arrived_bytes = self._arrived, [], 0
        if arrived and not self._tasks.closed:
            self._verifying += 1
            self._tasks.spawn(self._verify(arrived), "verify")

    async def _verify(self, arrived: list[Arrived]) -> None:
        read = await self._blocking.run(verify_and_keep, arrived, self._keep, self._read)
        self._verifying -= 1
        self._on_verified(arrived, read)


def verify_and_keep(
    arrived: Sequence[Arrived], keep: Keep, read: Reading = read_node
) -> list[ReadBlock | None]:
    """What the blocks say that hash to their CIDs; those are kept.  Runs in a worker thread."""
    right = [want.cid.matches(data) for _, want, data, _ in arrived]
    pairs = [(want.cid, data) for _, want, data, _ in arrived]
    keep([pair for pair, good in zip(pairs, right, strict=True) if good])
    return [
        read_block(want.cid, data, read) if good else None
        for (_, want, data, _), good in zip(arrived, right, strict=True)
    ]


class Restoring:
    """Blocks whose copies here turn out damaged while something is fetched: they are told, and as
    they come whole from elsewhere they are written back.

    ``keep`` stands before what the fetch itself is to do with blocks, which replaces damaged
    copies, too."""

    def __init__(self, disk: Disk, keep: Keep | None) -> None:
        self._disk, self._keep = disk, keep
        self._damaged: set[bytes] = set()  # multihashes
        self._restored = False

    async def found(self, cid: Cid) -> None:
        self._damaged.add(cid.multihash)
        await self._disk.on_damaged(cid)

    def keep(self, blocks: list[tuple[Cid, BlockBytes]]) -> None:
        """In worker threads, maybe several at a time."""
        if self._keep is not None:
            self._keep(blocks)
        elif self._damaged:
            self._restore([each for each in blocks if each[0].multihash in self._damaged])

    def tell(self) -> None:
        """On the loop, after ``keep``."""
        restored, self._restored = self._restored, False
        if restored:
            self._disk.on_healed()

    def _restore(self, blocks: list[tuple[Cid, BlockBytes]]) -> None:
        store = self._disk.store
        with suppress(NoRoom, HomeUnusable):  # whoever wants the bytes gets them all the same
            with store.batch() as batch:
                for cid, data in blocks:
                    if store.has(cid):
                        batch.put(cid, data, anew=True)
                batch.commit()
            if batch.renewed:
                self._disk.on_renewed(batch.renewed)
                self._restored = True
