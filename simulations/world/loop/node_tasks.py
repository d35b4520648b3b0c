"""The tasks of a loop, and which node each belongs to."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

from simulations.world.loop.current_node import CURRENT_NODE, NOBODY

_SWEEP_TASKS_MIN = 1024  # finished tasks, which hold what their nodes held, are forgotten together


class NodeTasks:
    """Every task that has not ended, oldest first, also by the node whose code started it."""

    def __init__(self) -> None:
        self._tasks: dict[int, tuple[asyncio.Task[Any], int]] = {}
        self._by_node: dict[int, list[asyncio.Task[Any]]] = {}
        self._sweep_at = _SWEEP_TASKS_MIN

    def add(
        self, number: int, task: asyncio.Task[Any], context: contextvars.Context | None
    ) -> None:
        """``number`` orders tasks; ``context`` is the task's own, None for a copy of this one."""
        node = CURRENT_NODE.get() if context is None else context.get(CURRENT_NODE, NOBODY)
        self._tasks[number] = (task, node)
        self._by_node.setdefault(node, []).append(task)
        if len(self._tasks) >= self._sweep_at:
            self.forget_finished()

    def forget_finished(self) -> None:
        left = {number: entry for number, entry in self._tasks.items() if not entry[0].done()}
        self._tasks, self._by_node = left, {}
        for task, node in left.values():
            self._by_node.setdefault(node, []).append(task)
        self._sweep_at = len(left) + max(_SWEEP_TASKS_MIN, len(left) // 8)

    def clear(self) -> None:
        self._tasks.clear()
        self._by_node.clear()

    def all(self) -> list[asyncio.Task[Any]]:
        """Those not yet done, oldest first."""
        return [task for task, _ in self._tasks.values() if not task.done()]

    def of(self, node: int) -> list[asyncio.Task[Any]]:
        """Those that code of this node has started."""
        return [task for task in self._by_node.get(node, ()) if not task.done()]
