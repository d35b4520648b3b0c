"""A node writes down early whom it knows: it may be killed at any time."""

from __future__ import annotations

import asyncio
import random

from dhtstore.params import PEERS_SAVE_INTERVAL_S
from simulations.network import SimNetwork
from simulations.virtual_loop import VirtualLoop, run
from simulations.world import World


def test_the_first_node_soon_knows_on_disk_who_joined_it() -> None:
    loop = VirtualLoop()

    async def story() -> list[bytes]:
        await world.grow(3)
        await asyncio.sleep(PEERS_SAVE_INTERVAL_S / 10)
        saved = world.nodes[0].peers.load()
        await world.stop()
        return [key for key, _ in saved]

    world = World(loop, 1, SimNetwork(loop, random.Random(1)))
    saved = run(story(), loop)
    assert sorted(saved) == sorted(node.public_key for node in world.nodes[1:])
