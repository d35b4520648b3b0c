"""Collect by itself what operations have left and what expired claims held."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from dhtstore.node.keeping.collector import Collector
from dhtstore.node.keeping.giving_up import GivingUp
from dhtstore.params import COLLECT_INTERVAL_S, COLLECT_SOON_S


@dataclass(frozen=True, slots=True)
class Collecting:
    """Once after the start, for what an earlier run left; then soon after something was left, and
    now and then for claims that expire."""

    collector: Collector
    giving_up: GivingUp

    async def begin(self) -> None:
        """An index that was built anew knows what was removed, too: that goes before anybody is
        served, where the disk lets it go."""
        if self.collector.disk.store.rebuilt:
            with self.collector.warnings.tolerated("collect", "what was removed may be here again"):
                await self.collector.collect()

    async def run(self) -> None:
        """Forever."""
        await asyncio.sleep(COLLECT_SOON_S)
        while True:
            collected = await self.collector.collect(hurry=False)
            if await self.giving_up.settle(collected.lost):
                self.collector.left()
            if await self.collector.alarm.rest(COLLECT_INTERVAL_S):
                await asyncio.sleep(COLLECT_SOON_S)
