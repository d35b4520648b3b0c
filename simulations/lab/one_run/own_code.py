"""A scenario's own code while a run goes on: where it fails, so does the run, at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from simulations.errors import ModuleFailed
from simulations.lab.one_run.scenario_module import ScenarioModule
from simulations.lab.one_run.world import World


class OwnCode:
    """``drive`` runs beside the ``course`` of the run, and ends it where it fails."""

    def __init__(self, module: ScenarioModule) -> None:
        self._module = module
        self._course: asyncio.Task[None] | None = None
        self._failed: ModuleFailed | None = None

    async def unless_it_fails(self, course: Awaitable[None]) -> None:
        """The course of the run; raises ModuleFailed."""
        self._course = asyncio.current_task()
        try:
            await course
        except asyncio.CancelledError:
            if self._failed is None:
                raise
            raise self._failed from self._failed.__cause__

    async def drive(self, world: World) -> None:
        try:
            await self._module.drive(world)
        except ModuleFailed as error:
            self._failed = error
            if self._course is not None:
                self._course.cancel()
