"""For how much of the time a node takes itself to be away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dhtstore.node.duties.repairing.noting.notes import Notes
from dhtstore.node.duties.repairing.presence import OwnPresence
from dhtstore.node.warnings import Warnings
from dhtstore.params import DAY_S, GRACE_MAX_S, YEAR_S
from dhtstore.replication.health.past import away_share
from dhtstore.replication.health.periods import USUAL_PERIODS
from dhtstore.store.ledger.entries import encode
from dhtstore.store.ledger.health.own_times import OwnTimes
from dhtstore.store.ledger.memory import MemoryKeyValue
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock

HOUR_S = 3600.0


class Machine:
    """One whose node is started again and again; ``running_s`` is what its lives add up to."""

    def __init__(self) -> None:
        self.loop, self.running_s = VirtualLoop(), 0.0
        self.clock, self.times = SimClock(self.loop), OwnTimes(MemoryKeyValue())

    async def life(self) -> OwnPresence:
        notes = Notes(InlineBlocking(), Warnings())
        here = OwnPresence(self.clock, notes, self.times, lambda: self.running_s, USUAL_PERIODS)
        await here.load()
        return here

    async def runs(self, hours: float) -> None:
        self.running_s += hours * HOUR_S
        await self.off(hours)

    async def off(self, hours: float) -> None:
        """Switched off or asleep."""
        await asyncio.sleep(hours * HOUR_S)


def share(away_h: float, of_h: float) -> object:
    return pytest.approx(away_share(away_h * HOUR_S, of_h * HOUR_S, USUAL_PERIODS))


def tell(story: Callable[[Machine], Coroutine[Any, Any, None]]) -> None:
    machine = Machine()
    run(story(machine), machine.loop)


def test_it_is_away_between_its_lives_and_while_the_machine_sleeps() -> None:
    async def story(machine: Machine) -> None:
        here = await machine.life()
        await machine.runs(10)
        assert here.away == 0
        await machine.off(6)  # asleep: the process goes on
        assert here.away == share(6, 16)
        await here.save()
        await machine.runs(1)
        await machine.off(7)
        assert (await machine.life()).away == share(13, 24)

    tell(story)


def test_what_was_not_written_down_before_it_was_killed_was_running_all_the_same() -> None:
    async def story(machine: Machine) -> None:
        await machine.life()
        await machine.runs(10)
        assert (await machine.life()).away == 0

    tell(story)


def test_a_clock_that_is_set_by_years_makes_no_absence_of_years() -> None:
    async def story(machine: Machine) -> None:
        here = await machine.life()
        await machine.runs(10)
        machine.clock.set_wall(YEAR_S)
        assert here.away == 0
        machine.clock.set_wall(-YEAR_S)
        await here.save()
        assert here.away == 0
        await machine.off(1)
        machine.clock.set_wall(YEAR_S)
        after = await machine.life()
        assert after.away == share(GRACE_MAX_S / HOUR_S, 10 + GRACE_MAX_S / HOUR_S)
        await machine.runs(10 * DAY_S / HOUR_S)
        assert after.away is not None
        assert after.away < 0.2
        machine.clock.set_wall(0)
        assert (await machine.life()).away == after.away

    tell(story)


def test_what_is_long_ago_counts_for_less() -> None:
    async def story(machine: Machine) -> None:
        here = await machine.life()
        for _ in range(200):
            await machine.runs(24)
            await here.save()
        for _ in range(60):
            await machine.runs(12)
            await machine.off(12)
            await here.save()
        assert here.away == pytest.approx(0.5, abs=0.15)

    tell(story)


def test_a_ledger_that_knows_only_since_when_is_gone_on_with() -> None:
    async def story(machine: Machine) -> None:
        table = MemoryKeyValue()
        machine.times = OwnTimes(table)
        await machine.life()
        [(key, _)] = table.scan(b"")
        table.write([(key, encode((machine.clock.unix_s(), machine.running_s)))])
        await machine.runs(10)
        await machine.off(6)
        assert (await machine.life()).away == share(6, 16)

    tell(story)
