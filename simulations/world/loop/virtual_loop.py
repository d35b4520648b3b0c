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
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar, TypeVarTuple

from simulations.errors import Deadlock, EscapedSimulation, Livelock, UnhandledErrors
from simulations.world.loop.current_node import CURRENT_NODE, NOBODY
from simulations.world.loop.isolated_loop import IsolatedLoop
from simulations.world.loop.waiting import describe_waiting

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_Bare = tuple[Any, ...]

_SWEEP_TASKS_MIN = 1024  # finished tasks, which hold what their nodes held, are forgotten together
_RESOLUTION_S = 1e-9  # as a real clock's: what waits for rounding errors must see time move
_AT_ONE_INSTANT_MAX = 5_000_000  # callbacks without time moving, before it counts as a livelock
_COMPACT_TIMERS_MIN = 256  # cancelled timers are dropped when they are most of the heap


class VirtualHandle(asyncio.TimerHandle):
    """A scheduled callback.  Cancelling forgets the callback; the entry is passed over later."""

    __slots__ = ("_owner",)

    def __init__(
        self,
        loop: VirtualLoop,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        # Deliberately without super().__init__: it asks the loop for debug state each time.
        self._owner = loop
        self._when = when
        self._callback = callback
        self._args = args
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False

    def cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            self._callback = _nothing
            self._args = ()
            self._owner._timer_cancelled()

    def __repr__(self) -> str:
        state = "cancelled" if self._cancelled else repr(self._callback)
        return f"<VirtualHandle at {self._when} s: {state}>"


class VirtualLoop(IsolatedLoop):
    """``time()`` is virtual seconds from ``start_s``; it moves only when nothing is ready."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now = start_s
        self._sequence = 0
        self._ready: deque[VirtualHandle] = deque()
        self._timers: list[tuple[float, int, Any, _Bare | None]] = []
        self._cancelled_timers = 0
        self._tasks: dict[int, tuple[asyncio.Task[Any], int]] = {}
        self._tasks_of: dict[int, list[asyncio.Task[Any]]] = {}
        self._sweep_at = _SWEEP_TASKS_MIN
        self._created = 0
        self._running = self._stopping = self._closed = False
        self._handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        self._generators: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()
        self._factory: Any = None
        self.unhandled: list[BaseException] = []
        self.fired = 0
        self.on_timer: Callable[[float], object] | None = None
        self.on_step: Callable[[contextvars.Context], object] | None = None

    # --- scheduling -------------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> VirtualHandle:
        handle = VirtualHandle(self, self._now, callback, args, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> VirtualHandle:
        if 0 < delay < _RESOLUTION_S:
            delay = _RESOLUTION_S
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> VirtualHandle:
        if not when > self._now:  # so written that NaN is caught too
            when = self._now
        handle = VirtualHandle(self, when, callback, args, context)
        self._sequence += 1
        heappush(self._timers, (when, self._sequence, handle, None))
        return handle

    def post(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """``call_later`` without a handle or a context: what the network uses per message."""
        self._sequence += 1
        heappush(self._timers, (self._now + delay_s, self._sequence, callback, args))

    def _timer_cancelled(self) -> None:
        self._cancelled_timers += 1
        count = self._cancelled_timers
        if count > _COMPACT_TIMERS_MIN and count * 2 > len(self._timers):
            self._timers[:] = [
                entry for entry in self._timers if entry[3] is not None or not entry[2]._cancelled
            ]
            heapify(self._timers)
            self._cancelled_timers = 0

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
                        raise Livelock(f"time stands still at {self._now} s; last ran {handle!r}")
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
                raise Livelock(f"time stands still at {self._now} s; last ran {target!r}")

    def _fire(self, when: float, target: Any, args: _Bare | None) -> None:
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
        self._tasks_of.clear()

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
        owner = CURRENT_NODE.get() if context is None else context.get(CURRENT_NODE, NOBODY)
        self._tasks[self._created] = (task, owner)
        self._tasks_of.setdefault(owner, []).append(task)
        if len(self._tasks) >= self._sweep_at:
            self._forget_finished()
        return task

    def _forget_finished(self) -> None:
        left = {number: entry for number, entry in self._tasks.items() if not entry[0].done()}
        self._tasks, self._tasks_of = left, {}
        for task, owner in left.values():
            self._tasks_of.setdefault(owner, []).append(task)
        self._sweep_at = len(left) + max(_SWEEP_TASKS_MIN, len(left) // 8)

    def find_unseen(self) -> None:
        """Let tasks and futures whose errors nobody took report them: they do when they go."""
        self._forget_finished()
        gc.collect()

    def tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks not yet done, oldest first."""
        return [task for task, _ in self._tasks.values() if not task.done()]

    def tasks_of(self, node: int) -> list[asyncio.Task[Any]]:
        """Those that code of this node has started."""
        return [task for task in self._tasks_of.get(node, ()) if not task.done()]

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

    # --- errors -----------------------------------------------------------------------------

    def set_exception_handler(
        self, handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None
    ) -> None:
        self._handler = handler

    def get_exception_handler(
        self,
    ) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None:
        return self._handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what failed; ``run`` raises it at the end."""
        error = context.get("exception")
        if not isinstance(error, BaseException):
            error = RuntimeError(str(context.get("message")))
        self.unhandled.append(error)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._handler is None:
            self.default_exception_handler(context)
        else:
            self._handler(self, context)

    def _report(self, message: str, error: BaseException) -> None:
        self.call_exception_handler({"message": message, "exception": error})

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        if enabled:
            raise EscapedSimulation("asyncio's debug mode reads the real clock")


def _is_task_step(callback: object) -> bool:
    """Whether it lets a task go on.  Other callbacks differ in number between Pythons."""
    owner = getattr(callback, "__self__", None)
    return isinstance(owner, asyncio.Task) or type(callback).__name__ == "TaskStepMethWrapper"


def _nothing(*_: object) -> None:
    """What a cancelled handle holds."""


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
