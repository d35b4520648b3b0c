"""Batches are opened and left in worker threads, whatever happens to who asked for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from dhtstore.model.cid import Cid
from dhtstore.net.threads import ThreadBlocking
from dhtstore.node.context import Disk
from dhtstore.store.blocks.contract import Reservation
from dhtstore.store.blocks.memory import MemoryBatch, MemoryBlockStore

DATA = b"some block"


class _Step:
    """Something that a thread comes to and that waits there."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()


class SlowStore(MemoryBlockStore):
    """Opening and leaving wait to be let through, and tell who did it."""

    __slots__ = ("closing", "opening", "threads")

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []
        self.opening, self.closing = _Step(), _Step()

    def let_all(self) -> None:
        self.opening.go.set()
        self.closing.go.set()

    def batch(self, reservation: Reservation | None = None, *, whole: bool = False) -> MemoryBatch:
        self._wait(self.opening)
        return _SlowBatch(self, None, whole=whole)

    def _wait(self, step: _Step) -> None:
        self.threads.append(threading.current_thread().name)
        step.reached.set()
        assert step.go.wait(10)


class _SlowBatch(MemoryBatch):
    __slots__ = ()

    def close(self) -> None:
        assert isinstance(self._store, SlowStore)
        self._store._wait(self._store.closing)
        super().close()


@pytest.fixture
def store() -> Iterator[SlowStore]:
    made = SlowStore()
    yield made
    made.let_all()


async def use(disk: Disk) -> None:
    async with disk.batch() as batch:
        await disk.blocking.run(batch.put, Cid.of(DATA), DATA)


async def reached(step: _Step) -> None:
    await asyncio.get_running_loop().run_in_executor(None, step.reached.wait, 10)


async def test_a_batch_is_opened_and_left_off_the_loop(store: SlowStore) -> None:
    store.let_all()
    blocking = ThreadBlocking()
    await use(Disk(store, blocking))
    await blocking.close()
    assert len(store.threads) == 2
    assert threading.current_thread().name not in store.threads
    assert store.used_bytes == 0


@pytest.mark.parametrize("when", ["opening", "closing"])
async def test_a_batch_is_left_when_its_user_is_cancelled(store: SlowStore, when: str) -> None:
    blocking = ThreadBlocking()
    task = asyncio.ensure_future(use(Disk(store, blocking)))
    await reached(store.opening)
    if when == "closing":
        store.opening.go.set()
        await reached(store.closing)
    task.cancel()
    await asyncio.sleep(0)
    store.let_all()
    with pytest.raises(asyncio.CancelledError):
        await task
    await blocking.close()
    assert len(store.threads) >= 2
    assert store.used_bytes == 0


async def test_a_batch_is_left_although_no_worker_has_begun_to_when_cancelled(
    store: SlowStore,
) -> None:
    """All workers are busy, so that leaving only waits in their queue."""
    store.let_all()
    blocking, release = ThreadBlocking(), threading.Event()
    entered = asyncio.Event()

    async def wait_inside() -> None:
        async with Disk(store, blocking).batch():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(wait_inside())
    await entered.wait()
    busy = [asyncio.ensure_future(blocking.run(release.wait, 10)) for _ in range(3)]
    for _ in range(3):  # into the batch, out of the queue, and while it is queued again
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.gather(*busy)
    await blocking.close()
    assert len(store.threads) == 2
