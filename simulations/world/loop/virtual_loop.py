"""An asyncio event loop whose clock jumps: no selector, no sockets, no threads.

Callbacks run in the order they were scheduled; timers in the order of (when, sequence).  Nothing
else decides the order, so the same program gives the same run in every process and on every
Python.  What would reach the real world raises EscapedSimulation.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from asyncio import events
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from heapq import heappop
from typing import Any, TypeVar

from simulations.errors import Deadlock, Livelock, UnhandledErrors
from simulations.world.loop.node_tasks import NodeTasks
from simulations.world.loop.schedule import BareArguments, SchedulingLoop, VirtualHandle
from simulations.world.loop.waiting import describe_turning, describe_waiting

T = TypeVar("T")
_AT_ONE_INSTANT_MAX = 5_000_000  # callbacks without time moving, before it counts as a livelock


class VirtualLoop(SchedulingLoop):
    """``time()`` is virtual seconds from ``start_s``; it moves only when nothing is ready."""

    def __init__(self, start_s: float = 0.0) -> None:
        super().__init__(start_s)
        self._tasks = NodeTasks()
        self._created = 0
        self._running = self._stopping = self._closed = False
        self._generators: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()
        self._factory: Any = None
        self.fired = 0
        self.on_timer: Callable[[float], object] | None = None
        self.on_step: Callable[[contextvars.Context], object] | None = None

    # --- running ----------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run until ``stop``; raises Deadlock when nothing is left to run."""
        self._check_startable()
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._generators.add, self._finalize_generator)
        events._set_running_loop(self)
        self._running = True
        try:
            self._run()
        finally:
            self._running = self._stopping = False
            events._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    def _check_startable(self) -> None:
        if self._closed:
            raise RuntimeError("the loop is closed")
        if self._running or events._get_running_loop() is not None:
            raise RuntimeError("a loop is running already")

    def _run(self) -> None:
        ready, timers, pop, at_once = self._ready, self._timers, heappop, 0
        while not self._stopping:
            if ready:
                handle = ready.popleft()
                if not handle._cancelled:
                    if self.on_step is not None and _is_task_step(handle._callback):
                        self.on_step(handle._context)
                    self._call(handle)
                    at_once += 1
                    if at_once > _AT_ONE_INSTANT_MAX:
                        raise self._livelock(handle)
                continue
            if not timers:
                raise Deadlock(describe_waiting(self.tasks(), self._now, self.unhandled))
            when, _, target, args = pop(timers)
            if args is None and target._cancelled:
                self._cancelled_timers = max(0, self._cancelled_timers - 1)
                continue
            if when > self._now:
                self._now, at_once = when, 0
            self._fire(when, target, args)
            at_once += 1
            if at_once > _AT_ONE_INSTANT_MAX:
                raise self._livelock(target)

    def _livelock(self, last: object) -> Livelock:
        turning = describe_turning(self.tasks())
        return Livelock(f"time stands still at {self._now} s; last ran {last!r}{turning}")

    def _fire(self, when: float, target: Any, args: BareArguments | None) -> None:
        self.fired += 1
        if self.on_timer is not None:
            self.on_timer(when)
        if args is None:
            self._call(target)
            return
        try:
            target(*args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._report(f"a callback failed: {target!r}", error)

    def _call(self, handle: VirtualHandle) -> None:
        try:
            handle._context.run(handle._callback, *handle._args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._report(f"a callback failed: {handle._callback!r}", error)

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        self._check_startable()
        task: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]
        task.add_done_callback(self._stop_when_done)
        try:
            self.run_forever()
        except BaseException:
            if task.done() and not task.cancelled():
                task.exception()  # the cause below is the one to raise
            raise
        finally:
            task.remove_done_callback(self._stop_when_done)
        if not task.done():
            raise RuntimeError("the loop was stopped before the future was done")
        return task.result()

    def _stop_when_done(self, _: asyncio.Future[Any]) -> None:
        self._stopping = True

    def run_for(self, duration_s: float) -> None:
        """Run for that much virtual time; timers due at its end are included."""
        self.call_later(duration_s, self.stop)
        self.run_forever()

    def stop(self) -> None:
        self._stopping = True

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        if self._running:
            raise RuntimeError("a running loop cannot be closed")
        self._closed = True
        self._ready.clear()
        self._timers.clear()
        self._tasks.clear()

    # --- tasks and futures ------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
        **options: Any,
    ) -> asyncio.Task[T]:
        if self._closed:
            raise RuntimeError("the loop is closed")
        self._created += 1
        text = f"task {self._created}" if name is None else str(name)
        task: asyncio.Task[T]
        if self._factory is not None:
            task = self._factory(self, coro, name=text, context=context, **options)
        else:
            task = asyncio.Task(coro, loop=self, name=text, context=context, **options)
        self._tasks.add(self._created, task, context)
        return task

    def find_unseen(self) -> None:
        """Let tasks and futures whose errors nobody took report them: they do when they go."""
        self._tasks.forget_finished()
        gc.collect()

    def tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks not yet done, oldest first."""
        return self._tasks.all()

    def tasks_of(self, node: int) -> list[asyncio.Task[Any]]:
        """Those that code of this node has started."""
        return self._tasks.of(node)

    def set_task_factory(self, factory: Any) -> None:
        self._factory = factory

    def get_task_factory(self) -> Any:
        return self._factory

    def _finalize_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators.discard(generator)
        if not self._closed:
            self.create_task(generator.aclose(), name="close an async generator")

    async def shutdown_asyncgens(self) -> None:
        # Not more than one is expected to be left open; the order among several is not defined.
        for generator in list(self._generators):
            await generator.aclose()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is no executor to shut down."""


def _is_task_step(callback: object) -> bool:
    """Whether it lets a task go on.  Other callbacks differ in number between Pythons."""
    owner = getattr(callback, "__self__", None)
    return isinstance(owner, asyncio.Task) or type(callback).__name__ == "TaskStepMethWrapper"


def run(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run ``main`` to its end, cancel what is left (oldest first), and close the loop.

    Raises what ``main`` raises; Deadlock; or UnhandledErrors if anything else failed unseen.
    """
    try:
        result = loop.run_until_complete(main)
        _cancel_leftovers(loop)
    finally:
        shut_down(loop)
    if loop.unhandled:
        first = loop.unhandled[0]
        count = len(loop.unhandled)
        raise UnhandledErrors(
            f"{count} unseen failures, first: {first!r}", loop.unhandled
        ) from first
    return result


def shut_down(loop: VirtualLoop) -> None:
    """End what is left of a run that was cut short, whatever it raises, and close the loop."""
    with suppress(Exception):
        _cancel_leftovers(loop)
    loop.close()


def _cancel_leftovers(loop: VirtualLoop) -> None:
    leftovers = loop.tasks()
    for task in leftovers:
        task.cancel()
    loop.run_until_complete(_settle(loop, leftovers))


async def _settle(loop: VirtualLoop, tasks: list[asyncio.Task[Any]]) -> None:
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            loop.call_exception_handler({"message": "failed while closing", "exception": error})
    await loop.shutdown_asyncgens()
