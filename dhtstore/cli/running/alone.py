"""--seed: a client node that lives for one command, in a directory that goes with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from dhtstore.api.callers import NodeCaller, check_visit
from dhtstore.api.homes import home_path
from dhtstore.api.hosting import visiting
from dhtstore.cli.running.errand import Errand
from dhtstore.cli.running.seeds import show_seed, tell_failures
from dhtstore.cli.terminal.common import Common
from dhtstore.cli.terminal.logs import set_up_logging
from dhtstore.cli.terminal.options import DEFAULT_LOG_LEVEL
from dhtstore.operations.operation import Rows

R = TypeVar("R")


def run_alone(common: Common, errand: Errand[R]) -> R:
    """As ``session.run``.  Puts are made in the name of the owner of the real data directory,
    where the keys of HOST:PORT seeds are pinned too.  Raises NeedsNode for what makes no sense
    of a node that ends at once."""
    check_visit(errand.operation)
    silent = common.json and common.log_level == DEFAULT_LOG_LEVEL  # nobody asked for more
    set_up_logging("error" if silent else common.log_level, common.log_format)
    return asyncio.run(_carried_out(common, errand))


async def _carried_out(common: Common, errand: Errand[R]) -> R:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    home, timeout_s = home_path(common.home), common.timeout_s
    visit = visiting(home, common.seeds, common.network, partial(show_seed, common), timeout_s)
    async with visit as visitor:
        tell_failures(common, visitor.joined)
        if task is not None:
            errand.sent(lambda: _cancel(loop, task))
        caller = NodeCaller(visitor.node, visits=visitor.visits)
        rows = None if errand.rows is None else _shown(errand.rows)
        return await caller.call(
            errand.operation, errand.descriptors, errand.watch, timeout_s, rows
        )


def _shown(show: Callable[[list[Any]], None]) -> Rows:
    """Printing waits for a slow reader: not on the loop of the node."""

    async def rows(found: list[Any]) -> None:
        await asyncio.to_thread(show, found)

    return rows


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    loop.call_soon_threadsafe(task.cancel)
