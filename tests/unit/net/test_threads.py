from __future__ import annotations

import asyncio
import threading

import pytest

from dhtstore.net.threads import WORKER_THREADS, ThreadBlocking


async def test_work_runs_in_a_few_threads_and_returns_or_raises() -> None:
    blocking = ThreadBlocking()
    main = threading.get_ident()
    seen = {await blocking.run(threading.get_ident) for _ in range(20)}
    assert main not in seen
    assert len(seen) <= WORKER_THREADS
    assert await blocking.run(divmod, 7, 3) == (2, 1)
    with pytest.raises(ZeroDivisionError):
        await blocking.run(divmod, 7, 0)
    await blocking.close()
    with pytest.raises(RuntimeError):
        await blocking.run(divmod, 7, 3)


async def test_a_cancelled_caller_waits_for_what_has_begun() -> None:
    blocking, begun, go_on = ThreadBlocking(), threading.Event(), threading.Event()
    finished: list[int] = []

    def work() -> None:
        begun.set()
        go_on.wait()
        finished.append(1)
        raise ZeroDivisionError("nobody asks for it any more")

    caller = asyncio.create_task(blocking.run(work))
    await asyncio.to_thread(begun.wait)
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert finished == [1]
    await blocking.close()


async def test_a_cancelled_caller_does_not_wait_for_what_has_not_begun() -> None:
    blocking, go_on = ThreadBlocking(), threading.Event()
    busy = [asyncio.create_task(blocking.run(go_on.wait)) for _ in range(WORKER_THREADS)]
    ran: list[int] = []
    late = asyncio.create_task(blocking.run(ran.append, 1))
    await asyncio.sleep(0)
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    go_on.set()
    await asyncio.gather(*busy)
    await blocking.close()
    assert ran == []
