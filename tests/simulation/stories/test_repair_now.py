"""The command `repair` waits for nobody, and believes nobody for what was before."""

from __future__ import annotations

import asyncio

from dhtstore.replication.repair.plan import Act
from simulations.events.users import put_bytes
from tests.simulation.harness import Lab, tell
from tests.simulation.stories.test_repair import CONTENT, HOUR_S, PERIODS, grow, holders


def test_who_asks_for_repair_now_has_a_holder_replaced_that_answered_a_minute_ago() -> None:
    """Nobody is believed for having answered before: who is silent now is not waited for."""

    async def story(lab: Lab) -> None:
        await grow(lab, 5)
        putter = lab.nodes[0]
        root = (await put_bytes(putter, CONTENT)).cid
        await asyncio.sleep(2 * HOUR_S)
        second = holders(lab, root)[1]
        async with putter.repair.alone():
            await putter.repair.fellows.ask([second.identity.public_key])
        lab.crash(second)
        await asyncio.sleep(PERIODS.turn_s / 10)
        [done] = await putter.repair.now()
        assert (done.act, done.made) == (Act.REPAIR, 1)

    tell(story)
