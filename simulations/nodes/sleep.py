"""Machines that fall asleep and wake, as a laptop does when its lid is shut."""

from __future__ import annotations

import asyncio

from dhtstore.net.ports import Jump
from simulations.nodes.population import Member, Nap, Population


async def sleep(population: Population, number: int, asleep_s: float) -> None:
    """Put a machine to sleep and wake it so much later, unless it woke before; nothing, if it is
    down or asleep."""
    member = population.members[number]
    nap = fall_asleep(population, member)
    if nap is not None:
        await asyncio.sleep(asleep_s)
        if member.nap is nap:
            wake(population, member)


def fall_asleep(population: Population, member: Member) -> Nap | None:
    """Put a machine to sleep with what runs on it; None, if it is down or asleep.

    From then on it has no timers and neither sends nor hears."""
    loop, network = population.loop, population.network
    if member.node is None or member.nap is not None:
        return None
    nap = Nap(loop.time(), member.life, member.ready, member.clock.skew_s)
    member.nap, member.ready = nap, False

    def doze_off() -> None:
        if member.nap is nap:  # it did not crash
            network.sleep(member.address, asleep=True)
            nap.held.extend(loop.hold_timers(nap.life))

    loop.post(0.0, doze_off)  # when what is ready to run has run: the node does nothing more
    return nap


def wake(population: Population, member: Member) -> None:
    """Wake it; nothing, if it is awake.  Its timers go on where they were; its clocks have moved
    on, and its node is told as late as a real watch would."""
    now_s = population.loop.time()
    nap = member.end_nap(now_s)
    if nap is None:
        return
    population.network.sleep(member.address, asleep=False)
    member.ready, member.changed_s = nap.ready, now_s
    population.loop.release_timers(nap.held)
    member.clock.jumped(Jump(now_s - nap.since_s, member.clock.skew_s - nap.skew_s))
