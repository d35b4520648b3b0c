"""The limit that counts is the one of the time that the clock on the wall shows."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.config.rates import NO_LIMIT, rate_schedule
from dhtstore.errors import InvalidSetting
from dhtstore.node.traffic.timetable import Timetable
from dhtstore.node.traffic.traffic import Traffic
from dhtstore.params import LIMIT_LOOK_S
from dhtstore.tasks import Supervisor
from tests.unit.node.data_plane import World, play

HOUR_S = 3600.0


def test_a_limit_follows_the_wall_clock_forth_and_back() -> None:
    async def scene(world: World) -> None:
        clock, traffic, tasks = (await world.peer("a")).clock, Traffic(), Supervisor()
        _, minute = clock.local_minute()
        hour = minute // 60
        night = f"1MB/s, {(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00 unlimited"
        timetable = Timetable(traffic, clock, rate_schedule(night), NO_LIMIT)
        tasks.spawn(timetable.run(), "limits")
        await asyncio.sleep(1.0)
        assert (traffic.up.limit, traffic.down.limit) == (1_000_000, None)
        clock.skew_s = 2 * HOUR_S  # as when summer time begins, or somebody sets the clock
        await asyncio.sleep(LIMIT_LOOK_S + 1)
        assert traffic.up.limit is None
        clock.skew_s = HOUR_S  # and back
        timetable.look()
        assert traffic.up.limit == 1_000_000
        assert timetable.set(None, "200kB/s").down_now == 200_000
        with pytest.raises(InvalidSetting, match="limit_up: 0 would let nothing through"):
            timetable.set("0", None)
        assert timetable.set("", "").up_now is None
        await tasks.close()

    play(scene)
