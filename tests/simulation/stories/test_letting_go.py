"""A copy that is one too many goes only on what others prove in that very look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from dhtstore.node.duties.repairing.asking import Asking
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.node.node import Node
from dhtstore.operations.operation import unwatched
from dhtstore.replication.audit_ration import AuditRation
from simulations.events.users import put_bytes
from simulations.world.ports.clock import SimClock
from tests.simulation.harness import STORAGE, Lab, tell
from tests.simulation.stories.test_leaving import CONTENT, PERIODS, holders, surplus
from tests.simulation.stories.test_policies import changed

YEAR_S = 365 * 86400.0


def once_looked(
    monkeypatch: pytest.MonkeyPatch, looker: Node, then: Callable[[], Awaitable[object]]
) -> list[Watched]:
    """``then`` happens when ``looker`` has just looked at a surplus and not acted yet; what it
    looked at."""
    looked: list[Watched] = []
    afresh = Asking.afresh

    async def slow(self: Asking, one: Watched) -> None:
        await afresh(self, one)
        since_unix_s = one.row.surplus_since_unix_s or float("inf")
        due = self.identity.now_unix_s() >= since_unix_s + PERIODS.trim_after_s
        if self.identity is looker.identity and due and not looked:
            looked.append(one)
            await then()

    monkeypatch.setattr(Asking, "afresh", slow)
    return looked


def test_who_is_busy_whenever_it_matters_lets_nobody_drop_a_copy() -> None:
    """One of the three nearer holders proves its copy every few minutes, but never when the fourth
    looks whether its own may go: it may have lost it since."""

    async def story(lab: Lab) -> None:
        root, there = await surplus(lab)
        last, sly = there[3], there[0]
        used_up = AuditRation()
        used_up.took("everybody", 10**18)
        for _ in range(int(4 * PERIODS.trim_after_s / 20)):
            async with last.repair.alone():
                sly.audits._ration = AuditRation()
                for one in await last.repair.units.named([(root.raw, False)]):
                    await last.repair.asking.afresh(one)
                    last.repair.units.rows.save({one.id: one.row})
                sly.audits._ration = used_up
                await asyncio.sleep(2)  # proofs are of a second
            await asyncio.sleep(20)
        assert set(holders(lab, root)) == set(there)
        sly.audits._ration = AuditRation()
        await asyncio.sleep(2 * PERIODS.trim_after_s)
        assert set(holders(lab, root)) == set(there[:3])

    tell(story)


def test_one_leaves_while_another_lets_its_surplus_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each was proved by the other a moment before."""

    async def story(lab: Lab) -> None:
        root, there = await surplus(lab)
        leaver = there[0]
        looked = once_looked(monkeypatch, there[3], lambda: leaver.leaving.leave(unwatched))
        fewest = 4
        for _ in range(int(4 * PERIODS.trim_after_s / 5)):
            await asyncio.sleep(5)
            fewest = min(fewest, len(holders(lab, root)))
        assert looked, "the story took place"
        assert leaver not in holders(lab, root)
        assert fewest == 3

    tell(story)


def test_what_the_own_user_puts_here_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(lab: Lab) -> None:
        root, there = await surplus(lab)
        last = there[3]
        looked = once_looked(monkeypatch, last, lambda: put_bytes(last, CONTENT))
        await asyncio.sleep(4 * PERIODS.trim_after_s)
        assert looked, "the story took place"
        assert last.ledger.claims.owns(root.raw), "its blocks stay anyway: who put them pins them"

    tell(story)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_copy_that_was_dropped_stands_in_for_none_that_is_lost_soon_after(seed: int) -> None:
    """The others audit who dropped it within days, and it answers their pings as ever."""

    async def story(lab: Lab) -> None:
        root, there = await surplus(lab)
        for node in there[:2]:  # they have seen blocks of all copies
            async with node.repair.alone():
                [one] = await node.repair.units.named([(root.raw, False)])
                await node.repair.asking.afresh(one)
                node.repair.units.rows.save({one.id: one.row})
        for _ in range(100):
            if len(holders(lab, root)) < 4:
                break
            await asyncio.sleep(PERIODS.ping_s)
        lab.crash(there[2])
        await asyncio.sleep(PERIODS.grace_min_s + 8 * PERIODS.ping_s)
        assert len([node for node in holders(lab, root) if node is not there[2]]) == 3

    tell(story, seed=seed)


def test_a_clock_that_was_ahead_for_hours_hides_no_loss() -> None:
    """What was written down then is of a time that is to come."""

    async def story(lab: Lab) -> None:
        clocks = [SimClock(lab.loop) for _ in range(6)]
        for clock in clocks:
            await lab.add(replace(STORAGE, periods=PERIODS), clock=clock)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        await asyncio.sleep(PERIODS.watched_s)
        third = holders(lab, root)[2]
        for clock in clocks:
            clock.set_wall(YEAR_S)
        await asyncio.sleep(3 * PERIODS.ping_s)
        for clock in clocks:
            clock.set_wall(0.0)
        await asyncio.sleep(3 * PERIODS.ping_s)
        lab.crash(third)
        await asyncio.sleep(2 * PERIODS.grace_max_s)
        there = [node for node in holders(lab, root) if node is not third]
        assert len(there) == 3

    tell(story)


def test_a_clock_that_was_ahead_when_a_copy_ceased_to_stay_keeps_it_no_longer_than_that() -> None:
    """It was not to go before that time came: a surplus for a year."""

    async def story(lab: Lab) -> None:
        for _ in range(3):
            await lab.add(replace(STORAGE, periods=PERIODS))
        node = lab.nodes[0]
        root = (await put_bytes(node, CONTENT)).cid
        async with node.repair.alone():
            [one] = await node.repair.units.named([(root.raw, False)])
        now = node.identity.now_unix_s()
        one.stays, one.row = "", one.row._replace(stays=False, freed_unix_s=now + YEAR_S)
        node.repair.judge.judge(one, now)
        assert one.row.freed_unix_s == now
        node.repair.judge.judge(one, now + 60.0)
        assert one.row.freed_unix_s == now

    tell(story)


def test_more_copies_again_after_fewer_are_made_soon_and_believed_in_by_no_list() -> None:
    """Who dropped what was too many is known to have it until it is audited, days later."""

    async def story(lab: Lab) -> None:
        for _ in range(8):
            await lab.add(replace(STORAGE, periods=PERIODS))
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT, replicas=5)).cid
        await asyncio.sleep(PERIODS.holders_look_s * 1.5)  # by then all have heard of all
        await changed(putter, root, replicas=2)
        await asyncio.sleep(8 * PERIODS.trim_after_s)
        assert len(holders(lab, root)) == 2
        await changed(putter, root, replicas=5)
        await asyncio.sleep(3 * PERIODS.ping_s)
        assert len(holders(lab, root)) == 5

    tell(story)
