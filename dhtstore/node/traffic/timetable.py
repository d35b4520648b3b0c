"""Which limits count now: what is set, at the time of day."""

from __future__ import annotations

import asyncio

from dhtstore.config.rates import NO_LIMIT, RateSchedule, rate_schedule
from dhtstore.errors import InvalidSetting
from dhtstore.net.ports import Clock
from dhtstore.node.traffic.traffic import Traffic
from dhtstore.operations.limits import LimitsInForce
from dhtstore.params import LIMIT_LOOK_S


class Timetable:
    """``up`` and ``down`` are what is set; ``look`` whenever either or the clock was changed."""

    def __init__(
        self, traffic: Traffic, clock: Clock, up: RateSchedule, down: RateSchedule
    ) -> None:
        self.up, self.down = up, down
        self._traffic, self._clock = traffic, clock
        self._changed = asyncio.Event()

    def set(self, up: str | None, down: str | None) -> LimitsInForce:
        """Other limits from now on, None leaves one; what counts then.  Raises InvalidSetting."""
        new_up = self.up if up is None else _read("limit_up", up)
        self.down = self.down if down is None else _read("limit_down", down)
        self.up = new_up
        self.look()
        limits = self._traffic.up.limit, self._traffic.down.limit
        return LimitsInForce(str(self.up), str(self.down), *limits)

    def look(self) -> None:
        """What the clock on the wall shows decides, however it came to show that."""
        day, minute = self._clock.local_minute()
        self._traffic.up.limit = self.up.at(day, minute)
        self._traffic.down.limit = self.down.at(day, minute)
        self._changed.set()

    async def run(self) -> None:
        """Look from now on; no more than once where the time changes nothing."""
        while True:
            self.look()
            self._changed.clear()
            timed = self.up.changes or self.down.changes
            try:
                async with asyncio.timeout(LIMIT_LOOK_S if timed else None):
                    await self._changed.wait()
            except TimeoutError:
                continue


def _read(key: str, text: str) -> RateSchedule:
    """As it is typed; "" is the default."""
    try:
        return rate_schedule(text) if text else NO_LIMIT
    except ValueError as error:
        raise InvalidSetting(f"{key}: {error}") from error
