"""Rows of a list as they come, whichever process the node is in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from dhtstore.api.callers import Caller
from dhtstore.operations.operation import Operation, unwatched
from dhtstore.tasks import Supervisor

T = TypeVar("T")


async def rows_of(
    caller: Caller, listing: Operation[list[T]], timeout_s: float | None
) -> AsyncGenerator[T, None]:
    """Each row; raises what the operation raises once all that came was taken.  The node waits
    until those that it handed over last are used up."""
    arrived: asyncio.Queue[list[T] | None] = asyncio.Queue()

    async def take(rows: list[T]) -> None:
        arrived.put_nowait(rows)
        await arrived.join()

    tasks = Supervisor()
    work: Coroutine[Any, Any, list[T]] = caller.call(listing, (), unwatched, timeout_s, take)
    calling = tasks.spawn(work, "list")
    calling.add_done_callback(lambda _: arrived.put_nowait(None))
    try:
        while (rows := await arrived.get()) is not None:
            for row in rows:
                yield row
            arrived.task_done()
        await calling
    finally:
        await tasks.close()
