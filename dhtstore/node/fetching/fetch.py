"""Fetch what a walk wants: from the local store and from many peers, verified, within a window.

data path: walk -> window of wants -> earlier output or local store, else search for holders ->
requests -> links -> frames -> intake (verified in worker threads) -> walk -> sink writer -> sink.
Memory holds what was asked for and not yet written: FETCH_MEMORY_BYTES, whatever the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dhtstore.content.dag.walk import Walk, Want
from dhtstore.errors import BlockDamaged, BlockMissing, TimedOut
from dhtstore.node.context import Disk
from dhtstore.node.fetching.delivery import BlockBytes, Delivery
from dhtstore.node.fetching.holders import Holders
from dhtstore.node.fetching.intake import Arrived, Intake
from dhtstore.node.fetching.recall import Claimed, Recall
from dhtstore.node.fetching.requests import Requests
from dhtstore.node.fetching.sink_writer import SinkWriter
from dhtstore.node.fetching.window import Window
from dhtstore.node.links.buffers import Lease
from dhtstore.tasks import Supervisor


async def fetch(
    walk: Walk,
    delivery: Delivery,
    disk: Disk,
    holders: Holders,
    *,
    timeout_s: float | None = None,
) -> None:
    """Drive ``walk`` to its end.

    Raises NotFound (nobody provides a unit), Unreachable (providers, but none gives the block),
    IntegrityFailure (those that answered sent wrong bytes), TimedOut, each with ``causes`` (node
    -> what went wrong there); and whatever the walk and the sink raise.
    """
    work = _Fetch(walk, delivery, disk, holders)
    holders.attach(work.requests)
    try:
        async with asyncio.timeout(timeout_s):
            await work.run()
    except TimeoutError as error:
        late = TimedOut(f"not done within {timeout_s:g} s")
        late.causes = holders.causes
        raise late from error
    finally:
        holders.detach()
        await work.tasks.close()


class _Fetch:
    """The loop that joins the parts of a fetch, each of which wakes it."""

    def __init__(self, walk: Walk, delivery: Delivery, disk: Disk, holders: Holders) -> None:
        self._disk, self._holders, self._progress = disk, holders, delivery.progress
        self.tasks = Supervisor(on_failure=self._failed)
        self._failure: BaseException | None = None
        self._woken = asyncio.Event()
        wake = self._woken.set
        self._opening = walk.opening
        self._window = Window(walk)
        self._recall = Recall(walk, delivery.earlier, disk.blocking)
        self._writer = SinkWriter(delivery.sink, delivery.in_order, self.tasks, wake)
        intake = Intake(disk.blocking, delivery.keep, self.tasks, self._verified)
        self.requests = Requests(self._window.open, holders, intake, self.tasks, wake)

    async def run(self) -> None:
        self._writer.take(self._opening)
        while True:
            await self._take_wants()
            self._check()
            if self._window.done and not self._writer.writing:
                return
            self.requests.send()
            self.requests.search()
            await self._sleep(self.requests.hedge_due_s())

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._holders.check()

    def _failed(self, name: str, error: BaseException) -> None:
        self._failure = self._failure or error
        self._woken.set()

    async def _sleep(self, at_most_s: float | None) -> None:
        try:
            async with asyncio.timeout(at_most_s):
                await self._woken.wait()
        except TimeoutError:
            return  # time to hedge
        self._woken.clear()

    async def _take_wants(self) -> None:
        """Start wants of the walk while there is room for what they bring."""
        while wants := self._window.take(
            unwritten_bytes=self._writer.unwritten_bytes, writing=self._writer.writing
        ):
            claimed, others = self._recall.sort_out(wants)
            for group in claimed:
                self.tasks.spawn(self._read_back(group), "read-back")
            if others:
                await self._start(others)

    async def _read_back(self, claimed: Sequence[Claimed]) -> None:
        lost: list[Want] = []
        for want, data in await self._recall.read(claimed):
            if data is None:
                lost.append(want)
            else:
                self._accept(want, data)
        if lost:
            await self._start(lost)
        self._advanced()

    async def _start(self, wants: Sequence[Want]) -> None:
        cids = [want.cid for want in wants]
        missing = await self._disk.blocking.run(self._disk.store.missing, cids)
        absent = {cid.multihash for cid in missing}
        local = [want for want in wants if want.cid.multihash not in absent]
        if local:
            self.tasks.spawn(self._read_local(local), "read-local")
        for want in wants:
            if want.cid.multihash in absent:
                self.requests.want(want)

    async def _read_local(self, wants: Sequence[Want]) -> None:
        for want in wants:
            try:
                data = await self._disk.blocking.run(self._disk.store.get, want.cid)
            except (BlockMissing, BlockDamaged):
                self.requests.want(want)
                self._woken.set()
            else:
                self._accept(want, data)
                self._advanced()

    def _verified(self, arrived: Sequence[Arrived], right: Sequence[bool]) -> None:
        for (_, want, data, lease), good in zip(arrived, right, strict=True):
            if good:
                self._accept(want, data, lease)
            elif lease is not None:
                lease.release()
        self.requests.judge(arrived, right)
        self._advanced()

    def _accept(self, want: Want, data: BlockBytes, lease: Lease | None = None) -> None:
        """The one place where a block leaves the fetch.  Of its bytes only the pieces that the
        walk yields are needed from here on, until the sink has written them."""
        outputs = self._window.accept(want, data)
        if outputs is not None:  # else a second holder was asked, and both gave it
            self.requests.finish(want)
        if outputs:
            self._writer.take(outputs, lease)
        elif lease is not None:
            lease.release()

    def _advanced(self) -> None:
        self._progress(self._window.done_bytes)
        self._woken.set()
