"""Machines that sleep for days, or whose clock is set: what they hold is found again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from dhtstore.content.dag.local import local_units
from dhtstore.model.unit import Unit
from dhtstore.params import CLOCK_LOOK_S
from dhtstore.wire.frames import Accepted
from simulations.nodes.population import Member, Population
from simulations.nodes.sleep import sleep
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.latency import UniformLatency
from simulations.world.network.network import SimNetwork
from tests.bids import bid_for_block
from tests.simulation.harness import STORAGE, providers_seen, put_with

MINUTE_S = 60.0
HOUR_S = 3600.0
NODES = 24  # more than the K that keep a record: most of those asked are not the holder
LAPTOP, ASKER = 3, 20
CONTENT = b"only here"


class Town:
    """Some nodes, one of which alone holds a file."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        network = SimNetwork(self.loop, random.Random(7), UniformLatency(7, 0.01, 0.1))
        self.population = Population(self.loop, network, 7, [STORAGE] * NODES)

    @property
    def laptop(self) -> Member:
        return self.population.members[LAPTOP]

    async def begin(self) -> Unit:
        """Everybody joins and the laptop puts; what it holds then."""
        for member in self.population.members:
            await self.population.start(member.number)
            await self.population.join(member.number)
        node = self.laptop.running
        put = await self.population.run(LAPTOP, put_with(node, CONTENT, replicas=1))
        [unit] = local_units(node.ports.store, put.cid)
        return unit

    async def sleep(self, asleep_s: float) -> None:
        await sleep(self.population, LAPTOP, asleep_s)

    async def found(self, unit: Unit) -> bool:
        """Whether somebody else finds the laptop, and gets an answer from it."""
        asker = self.population.members[ASKER].running
        seen = await self.population.run(ASKER, providers_seen(asker, unit))
        if self.laptop.running.public_key not in seen:
            return False
        addresses = [self.laptop.address]
        link = await self.population.run(
            ASKER, asker.links.to(self.laptop.running.public_key, addresses, 5.0)
        )
        return link.alive


def tell(story: Callable[[Town, Unit], Awaitable[None]]) -> None:
    town = Town()

    async def whole() -> None:
        await story(town, await town.begin())
        await town.population.stop()

    run(whole(), town.loop)


def test_after_49_hours_asleep_copies_are_found_within_minutes() -> None:
    async def story(town: Town, unit: Unit) -> None:
        await asyncio.sleep(HOUR_S)
        await town.sleep(49 * HOUR_S)
        assert not await town.found(unit)
        await asyncio.sleep(3 * MINUTE_S)
        assert await town.found(unit)

    tell(story)


def test_a_laptop_that_is_awake_8_hours_a_day_is_found_every_day() -> None:
    async def story(town: Town, unit: Unit) -> None:
        for _ in range(3):  # longer than a record lives
            await asyncio.sleep(8 * HOUR_S)
            await town.sleep(16 * HOUR_S)
            await asyncio.sleep(3 * MINUTE_S)
            assert await town.found(unit)
            assert len(town.laptop.running.dht.contacts()) > NODES // 2

    tell(story)


def test_while_it_sleeps_a_machine_does_nothing() -> None:
    async def story(town: Town, unit: Unit) -> None:
        machine = town.population.network.machine(town.laptop.address)
        town.population.spawn(0, town.sleep(5 * HOUR_S))
        await asyncio.sleep(1)
        sent = machine.sent_datagrams
        await asyncio.sleep(4 * HOUR_S)
        assert machine.sent_datagrams == sent
        await asyncio.sleep(2 * HOUR_S)
        assert machine.sent_datagrams > sent

    tell(story)


def test_links_and_what_was_reserved_over_them_end_with_a_long_sleep() -> None:
    async def story(town: Town, unit: Unit) -> None:
        asker, laptop = town.population.members[ASKER].running, town.laptop.running
        address = [town.laptop.address]
        link = await town.population.run(ASKER, asker.links.to(laptop.public_key, address, 5.0))
        offer = bid_for_block(asker.identity, b"to be held").offer(link)
        await town.population.run(ASKER, link.request(offer, Accepted))
        assert len(laptop.holder.offers.waiting) == 1
        await town.sleep(2 * HOUR_S)
        assert len(laptop.holder.offers.waiting) == 1
        await asyncio.sleep(CLOCK_LOOK_S + 1)
        assert laptop.holder.offers.waiting == []
        assert laptop.links.open_links() == []

    tell(story)


@pytest.mark.parametrize("off_s", [-2 * 86_400.0, 2 * 86_400.0])
def test_a_wrong_wall_clock_that_is_corrected_makes_nothing_unfindable(off_s: float) -> None:
    async def story(town: Town, unit: Unit) -> None:
        town.laptop.clock.set_wall(off_s)
        await asyncio.sleep(HOUR_S)
        town.laptop.clock.set_wall(0.0)
        await asyncio.sleep(CLOCK_LOOK_S + 2 * MINUTE_S)
        assert await town.found(unit)
        await asyncio.sleep(47 * HOUR_S)
        assert await town.found(unit)

    tell(story)


def test_the_line_that_comes_up_later_than_the_machine_costs_minutes() -> None:
    """A laptop wakes; its wireless network does so a minute later."""

    async def story(town: Town, unit: Unit) -> None:
        await town.sleep(49 * HOUR_S)
        network = town.population.network
        network.partition([[town.laptop.address]])
        await asyncio.sleep(90)
        network.heal()
        await asyncio.sleep(5 * MINUTE_S)
        assert await town.found(unit)

    tell(story)
