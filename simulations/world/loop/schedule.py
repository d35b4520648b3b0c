"""The part of an event loop that says what runs when: callbacks that are ready, and timers."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Iterable
from heapq import heapify, heappush
from typing import Any, TypeVarTuple

from simulations.world.loop.current_node import CURRENT_NODE, NOBODY
from simulations.world.loop.failures import FailureKeepingLoop

Ts = TypeVarTuple("Ts")
BareArguments = tuple[Any, ...]

_RESOLUTION_S = 1e-9  # as a real clock's: what waits for rounding errors must see time move
_COMPACT_TIMERS_MIN = 256  # cancelled timers are dropped when they are most of the heap


class VirtualHandle(asyncio.TimerHandle):
    """A scheduled callback.  Cancelling forgets the callback; the entry is passed over later."""

    __slots__ = ("_owner",)

    def __init__(
        self,
        loop: SchedulingLoop,
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


class SchedulingLoop(FailureKeepingLoop):
    """Ready callbacks in the order they came, timers in that of (when, sequence); ``time()`` is
    virtual seconds, which whoever runs the loop moves."""

    def __init__(self, start_s: float) -> None:
        super().__init__()
        self._now = start_s
        self._sequence = 0
        self._ready: deque[VirtualHandle] = deque()
        self._timers: list[tuple[float, int, Any, BareArguments | None]] = []
        self._cancelled_timers = 0

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

    def hold_timers(self, node: int) -> list[tuple[float, VirtualHandle]]:
        """Take out the timers that code of this node has set, each with how long it has left: for
        a machine that falls asleep."""
        mine = [entry for entry in self._timers if entry[3] is None and _set_by(entry[2]) == node]
        taken = {entry[1] for entry in mine}
        self._timers[:] = [entry for entry in self._timers if entry[1] not in taken]
        heapify(self._timers)
        return [(entry[0] - self._now, entry[2]) for entry in sorted(mine, key=_in_order)]

    def release_timers(self, held: Iterable[tuple[float, VirtualHandle]]) -> None:
        """Let held timers go on, as if the time in between had not been."""
        for left_s, handle in held:
            if not handle._cancelled:
                handle._when = self._now + left_s
                self._sequence += 1
                heappush(self._timers, (handle._when, self._sequence, handle, None))

    def _timer_cancelled(self) -> None:
        self._cancelled_timers += 1
        count = self._cancelled_timers
        if count > _COMPACT_TIMERS_MIN and count * 2 > len(self._timers):
            self._timers[:] = [
                entry for entry in self._timers if entry[3] is not None or not entry[2]._cancelled
            ]
            heapify(self._timers)
            self._cancelled_timers = 0


def _set_by(handle: VirtualHandle) -> int:
    return NOBODY if handle._cancelled else handle._context.get(CURRENT_NODE, NOBODY)


def _in_order(entry: tuple[float, int, Any, BareArguments | None]) -> tuple[float, int]:
    return entry[:2]


def _nothing(*_: object) -> None:
    """What a cancelled handle holds."""
