"""A node writes down early whom it knows: it may be killed at any time."""

from __future__ import annotations

import asyncio

from dhtstore.params import PEERS_SAVE_INTERVAL_S
from tests.simulation.harness import Lab, tell


def test_the_first_node_soon_knows_on_disk_who_joined_it() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        await asyncio.sleep(PEERS_SAVE_INTERVAL_S / 10)
        saved = [contact.public_key for contact in lab.nodes[0].ledger.peers.load()]
        assert sorted(saved) == sorted(node.public_key for node in lab.nodes[1:])

    tell(story)
