"""Pings that nobody awaits, sent at a bounded rate: those of each origin in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from dhtstore.dht.core.limits import Turns
from dhtstore.params import VERIFY_PINGS_PER_S

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock

Send = Callable[[], None]


class InTurn:
    """At most VERIFY_PINGS_PER_S.  ``send`` sends one, or nothing once all is closed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turns: Turns[Send] = Turns(VERIFY_PINGS_PER_S, 4 * VERIFY_PINGS_PER_S)
        self._timer: asyncio.TimerHandle | None = None

    def add(self, origin: bytes, send: Send) -> bool:
        """Whether ``send`` is called, now or when it is the turn of ``origin``."""
        waits = self._turns.add(origin, send)
        if self._timer is None:
            self._go_on()
        return waits

    def _go_on(self) -> None:
        self._timer = None
        for send in self._turns.due(self._clock.monotonic_s()):
            send()
        wait_s = self._turns.wait_s()
        if wait_s is not None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._go_on)
