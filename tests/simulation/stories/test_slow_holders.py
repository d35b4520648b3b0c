"""A chain of holders whose uplinks are slow is not what a put waits for."""

from __future__ import annotations

import random

from dhtstore.params import MIB
from tests.simulation.harness import address_of, check_receipts
from tests.simulation.stories.test_pipeline import UPLINK, Scene, play

CONTENT = random.Random(7).randbytes(100 * MIB)


def test_holders_with_a_tenth_of_the_uplink_cost_little_more_than_sending_directly() -> None:
    """30 s where each gets it from the uploader.  The first asks the uploader behind what it sends
    itself: where it takes the answers that are late by that for a slow uploader, all wait 110 s."""

    async def story(scene: Scene) -> None:
        for node in scene.holders:
            scene.lab.network.machine(address_of(node)).up_bytes_per_s = UPLINK
        scene.lab.network.machine(address_of(scene.client)).up_bytes_per_s = 10 * UPLINK
        outcome, took_s = await scene.timed(scene.put(content=CONTENT))
        check_receipts(scene.lab, outcome, copies=3)
        assert took_s < 45

    play(story)
