from __future__ import annotations

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
