"""Machines that enter the network as their users would have them: until they are in."""

from __future__ import annotations

import asyncio

from dhtstore.params import MAINTENANCE_INTERVAL_S
from simulations.nodes.population import Population

_RETRY_FIRST_S = 5.0  # as a node that knows peers looks for them by itself; then doubling


async def enter(population: Population, number: int) -> None:
    """Let a node that runs join; if that fails, again and again for as long as this life lasts.

    ``dhtstore join`` ends where nobody answers, and whoever started it does so again.  Raises
    CrashedMeanwhile."""
    member, retry_s = population.members[number], _RETRY_FIRST_S
    life = member.life
    while member.life == life and member.node is not None and not await population.join(number):
        await asyncio.sleep(retry_s)
        retry_s = min(2 * retry_s, MAINTENANCE_INTERVAL_S)
