"""A clock that is set wrong ends nobody's claim; one that is really over ends."""

from __future__ import annotations

import asyncio

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.signing import attach
from dhtstore.node.context import Disk
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.keeping.staging import Staging
from dhtstore.node.keeping.why import Why
from dhtstore.node.warnings import Warnings
from dhtstore.params import CLOCK_DOUBTED_MAX_S, DAY_S, RUNNING_SAVED_S
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.charging.over import OverNotes
from dhtstore.store.ledger.health.running import RunningRow
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from tests.unit.node.copies_world import new_ledger
from tests.unit.node.data_plane import World, play

YEAR_S = 365 * DAY_S
DATA = b"a stranger's"
EXPIRES_IN_S = 100 * DAY_S


class Scene:
    """A disk with one block that a stranger claims."""

    def __init__(self, world: World) -> None:
        self.clock, self.ledger = SimClock(world.loop), new_ledger()
        self.store, self.cid = MemoryBlockStore(), Cid.of(DATA)
        with self.store.batch() as batch:
            batch.put(self.cid, DATA)
            batch.commit()
        self.renew(1, int(self.clock.unix_s() + EXPIRES_IN_S))
        self.restart()

    def renew(self, sequence: int, expires: int) -> None:
        cid = self.cid
        policy = Policy(b"o" * 32, cid.raw, sequence, 3, expires, removed=False)
        policy = attach(policy, b"s" * 64)
        claim = Claim(cid.raw, (cid.raw,), False, len(DATA), 1, policy, len(DATA), "192.0.2.0/24")
        self.ledger.claims.begin(claim, self.clock.unix_s())
        self.ledger.claims.put(claim)

    def restart(self) -> None:
        disk = Disk(self.store, InlineBlocking())
        self.collector = Collector(disk, self.ledger, self.clock, Warnings())
        self.overdue = self.collector.overdue

    async def collected(self) -> bool:
        """Whether the block went; what would go is told before."""
        told = await self.collector.collect(dry_run=True)
        done = await self.collector.collect()
        assert (told.claims, told.garbage_blocks) == (done.claims, done.garbage_blocks)
        return self.store.count() == 0

    def why(self) -> Why:
        staging = Staging(self.collector, Warnings(), keeps_all=True)
        return Why(self.collector.disk, self.ledger, self.clock, staging, self.collector)

    def notes(self) -> int:
        return self.ledger.table.count(b"over/")


def test_a_clock_that_is_ahead_for_less_than_a_day_ends_nothing_and_leaves_nothing() -> None:
    async def scene(world: World) -> None:
        on = Scene(world)
        on.clock.skew_s = YEAR_S
        assert not await on.collected()
        await asyncio.sleep(0.9 * DAY_S)
        assert not await on.collected()
        assert on.notes() == 1
        [reason] = (await on.why().of(on.cid)).reasons
        assert reason.over
        on.clock.skew_s = 0.0
        assert not await on.collected()
        assert on.notes() == 0
        on.clock.skew_s = YEAR_S
        await asyncio.sleep(DAY_S)
        assert not await on.collected(), "what was found before it was set back is past"

    play(scene)


def test_what_is_over_ends_after_a_day_of_running_whatever_restarts() -> None:
    async def scene(world: World) -> None:
        on = Scene(world)
        await asyncio.sleep(EXPIRES_IN_S + DAY_S)
        lives = 0
        while not await on.collected():
            await asyncio.sleep(3600 + RUNNING_SAVED_S / 2)  # and is killed: some of it is lost
            lives += 1
            row = RunningRow(on.overdue.running.total_s() - RUNNING_SAVED_S / 2, 0.0)
            on.overdue.running.row.save(row)
            on.restart()
            await on.overdue.running.begin()
        assert lives == 24
        assert on.notes() == 0

    play(scene)


def test_what_nobody_was_asked_about_since_it_was_over_waits() -> None:
    """Its owner may have given it more time; at most as long as where the clock is doubted."""

    async def scene(world: World) -> None:
        on = Scene(world)
        on.overdue.asks = True
        await asyncio.sleep(EXPIRES_IN_S + DAY_S)
        assert not await on.collected()
        await asyncio.sleep(CLOCK_DOUBTED_MAX_S - 1)
        assert not await on.collected()
        notes, [policy] = OverNotes(on.ledger.table), on.ledger.claims.policies()
        assert notes.waits(policy)
        notes.asked(policy)
        assert not notes.waits(policy)
        assert await on.collected()
        assert on.notes() == 0

        on.renew(2, int(on.clock.unix_s() - 2 * DAY_S))
        with on.store.batch() as batch:
            batch.put(on.cid, DATA)
            batch.commit()
        assert not await on.collected()
        await asyncio.sleep(CLOCK_DOUBTED_MAX_S)
        assert await on.collected()

    play(scene)


def test_a_year_that_the_node_was_off_is_not_running_time() -> None:
    async def scene(world: World) -> None:
        on = Scene(world)
        on.clock.skew_s = YEAR_S
        assert not await on.collected()
        await on.overdue.running.save()
        await asyncio.sleep(2 * DAY_S)  # off: nobody counts
        on.restart()
        await on.overdue.running.begin()
        assert not await on.collected()

    play(scene)


def test_a_claim_renewed_between_looks_is_noted_anew() -> None:
    async def scene(world: World) -> None:
        on = Scene(world)
        on.clock.skew_s = YEAR_S
        assert not await on.collected()
        on.renew(2, int(on.clock.unix_s()) - int(30 * DAY_S))
        await asyncio.sleep(2 * DAY_S)
        assert not await on.collected(), "over again, but found only now"
        await asyncio.sleep(DAY_S)
        assert await on.collected()

    play(scene)


def test_peers_and_a_clock_lately_set_put_an_end_off_and_not_for_ever() -> None:
    async def scene(world: World) -> None:
        on = Scene(world)
        on.overdue.ahead_s = lambda: YEAR_S
        on.clock.skew_s = YEAR_S
        assert not await on.collected()
        await asyncio.sleep(CLOCK_DOUBTED_MAX_S - DAY_S)
        assert not await on.collected()
        on.overdue.ahead_s = lambda: None
        on.overdue.running.clock_set(YEAR_S)
        assert not await on.collected()
        await asyncio.sleep(DAY_S)
        on.overdue.running.clock_set(YEAR_S)
        assert await on.collected(), "a clock that is set daily does not keep all for ever"

    play(scene)


def test_a_clock_that_nobody_has_set_since_it_lost_its_power_forgets_nothing() -> None:
    async def scene(world: World) -> None:
        on = Scene(world)
        await asyncio.sleep(EXPIRES_IN_S + DAY_S)
        assert not await on.collected()
        on.clock.skew_s = -on.clock.unix_s()
        assert not await on.collected()
        assert on.notes() == 1
        on.clock.skew_s = 0.0
        await asyncio.sleep(DAY_S)
        assert await on.collected()

    play(scene)
