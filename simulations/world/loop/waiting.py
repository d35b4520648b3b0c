"""Who waits for what: the text of a deadlock report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_TASKS_SHOWN_MAX = 40
_FRAMES_SHOWN_MAX = 12
_KINDS = {"cr": "cr_await", "ag": "ag_await", "gi": "gi_yieldfrom"}  # what each kind awaits


def describe_waiting(
    tasks: Sequence[asyncio.Task[Any]], now_s: float, unhandled: Sequence[BaseException] = ()
) -> str:
    """One line per waiting task: its name, the chain of awaits, and what it waits for."""
    lines = [f"nothing is left to run at {now_s:.6f} s, and {len(tasks)} tasks still wait:"]
    lines += [f"  {describe_task(task)}" for task in tasks[:_TASKS_SHOWN_MAX]]
    if len(tasks) > _TASKS_SHOWN_MAX:
        lines.append(f"  and {len(tasks) - _TASKS_SHOWN_MAX} more")
    lines += [f"  failed before, unseen: {error!r}" for error in unhandled[:_TASKS_SHOWN_MAX]]
    return "\n".join(lines)


def describe_turning(tasks: Sequence[asyncio.Task[Any]]) -> str:
    """One line per task that could go on at once, as whoever keeps time from moving can."""
    turning = [task for task in tasks if getattr(task, "_fut_waiter", None) is None]
    return "".join(f"\n  {describe_task(task)}" for task in turning[:_TASKS_SHOWN_MAX])


def describe_task(task: asyncio.Task[Any]) -> str:
    """``name: main (a.py:3) > Queue.get (queues.py:158), waits for a future``."""
    frames = _await_chain(task.get_coro())
    chain = " > ".join(frames) if frames else "not started"
    waiter = getattr(task, "_fut_waiter", None)
    return f"{task.get_name()}: {chain}, waits for {_describe_awaited(waiter)}"


def _await_chain(awaited: Any) -> list[str]:
    frames: list[str] = []
    while awaited is not None and len(frames) < _FRAMES_SHOWN_MAX:
        prefix = next((p for p in _KINDS if hasattr(awaited, f"{p}_frame")), None)
        if prefix is None:
            break
        frame = getattr(awaited, f"{prefix}_frame")
        if frame is not None:
            file = Path(frame.f_code.co_filename).name
            frames.append(f"{frame.f_code.co_qualname} ({file}:{frame.f_lineno})")
        awaited = getattr(awaited, f"{prefix}_await", None) or getattr(
            awaited, "gi_yieldfrom", None
        )
    return frames


def _describe_awaited(waiter: object) -> str:
    if isinstance(waiter, asyncio.Task):
        return f"the task {waiter.get_name()}"
    return "a future" if waiter is not None else "its turn"
