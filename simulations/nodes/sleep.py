"""Machines that fall asleep and wake, as a laptop does when its lid is shut."""

from __future__ import annotations

import asyncio

from dhtstore.net.ports import Jump
from simulations.nodes.population import Population
from simulations.world.loop.schedule import VirtualHandle


async def sleep(population: Population, number: int, asleep_s: float) -> None:
    """Put a machine to sleep and wake it so much later, with what ran on it; nothing, if it is
    down or asleep.

    Meanwhile it has no timers and neither sends nor hears.  Then its timers go on where they
    were; its clocks have moved on, and its node is told as late as a real watch would."""
    member = population.members[number]
    if member.node is None or population.network.machine(member.address).asleep:
        return
    life, loop, network = member.life, population.loop, population.network
    held: list[tuple[float, VirtualHandle]] = []
    ready, member.ready = member.ready, False
    member.asleep_s += asleep_s

    def fall_asleep() -> None:
        network.sleep(member.address, asleep=True)
        held.extend(loop.hold_timers(life))

    loop.post(0.0, fall_asleep)  # when what is ready to run has run: the node does nothing more
    await asyncio.sleep(asleep_s)
    network.sleep(member.address, asleep=False)
    if member.life == life and member.node is not None:  # it did not crash in its sleep
        member.ready = ready
        loop.release_timers(held)
        member.clock.jumped(Jump(asleep_s, 0.0))
