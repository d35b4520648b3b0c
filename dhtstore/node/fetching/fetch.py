"""Fetch what a walk wants: from the local store and from many peers, verified, within a window.

data path: walk -> window of wants -> earlier output or local store, else search for holders ->
requests -> links -> frames -> intake (verified and read in worker threads) -> opening -> walk ->
sink writer -> sink.  Memory holds what was asked for and not yet written: FETCH_MEMORY_BYTES,
whatever the file, its links and its holders say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.walk import Output, Walk, Want
from dhtstore.errors import BlockDamaged, BlockMissing
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.node.fetching.delivery import Delivery, Found
from dhtstore.node.fetching.holders import Holders
from dhtstore.node.fetching.intake import Arrived, Intake, Restoring
from dhtstore.node.fetching.opening import Opening, ReadBlock, Reading, Ready, read_block
from dhtstore.node.fetching.recall import Claimed, Recall
from dhtstore.node.fetching.requests import Requests
from dhtstore.node.fetching.sink_writer import SinkWriter
from dhtstore.node.fetching.window import FetchRoom, Window
from dhtstore.node.links.buffers import Lease
from dhtstore.node.telling.giving_up import late
from dhtstore.node.traffic.traffic import Pull
from dhtstore.params import FETCH_MEMORY_BYTES
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.tasks import Supervisor

LOCAL_READS_MAX: Final = 3  # blocks of the local store in memory beyond the window


async def fetch(
    walk: Walk,
    delivery: Delivery,
    disk: Disk,
    holders: Holders,
    pull: Pull,
    *,
    timeout_s: float | None = None,
    memory_bytes: int = FETCH_MEMORY_BYTES,
) -> None:
    """Drive ``walk`` to its end, with about ``memory_bytes`` of blocks in memory.

    Raises NotFound (nobody provides a unit), Unreachable (providers, but none gives the block),
    IntegrityFailure (those that answered sent wrong bytes), TimedOut, each with ``causes`` (node
    -> what went wrong there); and whatever the walk and the sink raise.
    """
    work = _Fetch(walk, delivery, disk, holders, pull, memory_bytes)
    holders.attach(work.requests)
    try:
        async with asyncio.timeout(timeout_s):
            await work.run()
    except TimeoutError as error:
        timed_out = late(timeout_s, holders.report())
        timed_out.causes = holders.record.causes
        raise timed_out from error
    finally:
        holders.detach()
        await work.tasks.close()


class _Fetch:
    """The loop that joins the parts of a fetch, each of which wakes it."""

    def __init__(
        self,
        walk: Walk,
        delivery: Delivery,
        disk: Disk,
        holders: Holders,
        pull: Pull,
        memory_bytes: int,
    ) -> None:
        self._disk, self._holders, self._progress = disk, holders, delivery.progress
        self._found, self._read = delivery.found, delivery.read
        self.tasks = Supervisor(on_failure=self._failed)
        self._failure: BaseException | None = None
        self._woken, self._changed = asyncio.Event(), asyncio.Event()
        self._reading = asyncio.Semaphore(LOCAL_READS_MAX)
        wake, tasks = self._wake, self.tasks
        self._first_outputs = walk.opening
        self._window, self._room = Window(walk, memory_bytes), FetchRoom(memory_bytes, wake)
        self._recall = Recall(walk, delivery.earlier, disk.blocking)
        self._writer = SinkWriter(delivery.sink, delivery.in_order, tasks, wake)
        self._opening = Opening(walk, disk.blocking, tasks, self._opened, wake)
        self._restoring = Restoring(disk, delivery.keep)
        self._intake = intake = Intake(
            disk.blocking, self._restoring.keep, tasks, self._verified, delivery.read
        )
        self.requests = Requests(
            self._window.open,
            holders,
            intake,
            self._room,
            pull,
            self._quiet,
            tasks,
            wake,
            self._advanced,
            lossy=delivery.earlier is not None,
        )

    async def run(self) -> None:
        self._writer.take(self._first_outputs)
        while True:
            await self._take_wants()
            self._check()
            if self._opening.walked and not self._writer.writing:
                return
            if self.requests.send():
                await asyncio.sleep(0)
                continue
            self.requests.search()
            self.requests.look_around()
            await self._sleep(self.requests.due_s())

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._holders.check()

    def _failed(self, name: str, error: BaseException) -> None:
        self._failure = self._failure or error
        self._wake()

    def _wake(self) -> None:
        """Something has changed: for the loop, and for whoever waits for room."""
        self._woken.set()
        self._changed.set()
        self._changed.clear()

    def _quiet(self) -> bool:
        """Whether nothing that came is at work here: what is held waits for what is to come."""
        return not (self._writer.writing or self._opening.busy or self._intake.at_work)

    async def _sleep(self, at_most_s: float | None) -> None:
        try:
            async with asyncio.timeout(at_most_s):
                await self._woken.wait()
        except TimeoutError:
            return  # time to look, or to hedge
        self._woken.clear()

    async def _take_wants(self) -> None:
        """Start wants of the walk while there is room for what they bring."""
        while wants := self._next_wants():
            claimed, others = self._recall.sort_out(wants)
            for group in claimed:
                self.tasks.spawn(self._read_back(group), "read-back")
            if others:
                await self._start(others)
        if not self._opening.busy:
            self.requests.look_ahead(self._window)

    def _next_wants(self) -> list[Want]:
        if self._opening.busy:
            return []  # it has the walk, and wakes us
        unwritten_bytes = self._writer.unwritten_bytes
        return self._window.take(unwritten_bytes=unwritten_bytes, writing=self._writer.writing)

    async def _read_back(self, claimed: Sequence[Claimed]) -> None:
        read = await self._recall.read(claimed)
        lost = [want for want, node in read if node is None]
        self._accept([Ready(want, node) for want, node in read if node is not None])
        if lost:
            await self._start(lost)
        self._advanced()

    async def _start(self, wants: Sequence[Want]) -> None:
        cids = [want.cid for want in wants]
        sizes = await self._disk.blocking.run(self._disk.store.sizes, cids)
        local = [want for want, size in zip(wants, sizes, strict=True) if size is not None]
        if local:
            self.tasks.spawn(self._read_local(local), "read-local")
        for want, size in zip(wants, sizes, strict=True):
            if size is None:
                self.requests.want(want)

    async def _read_local(self, wants: Sequence[Want]) -> None:
        for want in wants:
            async with self._reading:
                while self._room.full and self._writer.writing:
                    await self._changed.wait()
                await self._read_one(want)

    async def _read_one(self, want: Want) -> None:
        try:
            look = partial(_get_and_read, self._disk.store, want.cid, self._found, self._read)
            data, block = await self._disk.blocking.run(look)
        except (BlockMissing, BlockDamaged) as error:
            if isinstance(error, BlockDamaged):
                await self._restoring.found(want.cid)
            self.requests.want(want)
            self._wake()
            return
        lease = Lease(memoryview(data))
        lease.when_gone(self._room.hold(len(data)))
        self._accept([Ready(want, block, lease)])
        self._advanced()

    def _verified(self, arrived: Sequence[Arrived], read: Sequence[ReadBlock | None]) -> None:
        self._restoring.tell()
        right: list[Ready] = []
        for (_, want, _, lease), block in zip(arrived, read, strict=True):
            if block is None:
                lease.release()
            else:
                right.append(Ready(want, block, lease))
        self._accept(right)
        self.requests.judge(arrived, read)
        self._advanced()

    def _accept(self, blocks: Sequence[Ready]) -> None:
        """The one place where blocks leave the fetch, each once: where a second holder was asked,
        both may give it."""
        first = [ready for ready in blocks if self._fulfil(ready)]
        if first:
            self._opening.take(first)

    def _fulfil(self, ready: Ready) -> bool:
        size_bytes = ready.block.block_bytes if isinstance(ready.block, DagNode) else 0
        wanted = self._window.fulfil(ready.want, size_bytes)
        if wanted:
            self.requests.finish(ready.want)
        elif ready.lease is not None:
            ready.lease.release()
        return wanted

    def _opened(self, outputs: Sequence[Output], lease: Lease | None) -> None:
        """Of a block only the pieces that the walk yields are needed from here on, until the sink
        has written them."""
        if outputs:
            self._writer.take(outputs, lease)
        elif lease is not None:
            lease.release()

    def _advanced(self) -> None:
        self._progress(self._window.done_bytes)
        self._wake()


def _get_and_read(
    store: BlockStore, cid: Cid, found: Found | None, read: Reading
) -> tuple[bytes, ReadBlock]:
    data = store.get(cid)
    if found is not None:
        found(cid, data)
    return data, read_block(cid, data, read)
