"""Checkers at work: they look at a world now and then, and what they find is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from simulations.checks.checker import Checker, Violation
from simulations.checks.checkers import check_all
from simulations.lab.one_run.world import World

_LOOKS_PER_RUN, _LOOKS_AT_MANY = 12, 2  # looking at every table of many nodes takes seconds
_MANY_NODES = 500


class Inspector:
    """``violations`` is what was found, each once; ``looks`` how often the checkers looked."""

    def __init__(self, world: World, checkers: Sequence[Checker]) -> None:
        self._world, self._checkers = world, checkers
        self.violations: list[Violation] = []
        self.looks = 0

    async def run(self) -> None:
        """Look at even intervals, until cancelled."""
        run = self._world.scenario.run
        looks = _LOOKS_AT_MANY if run.nodes > _MANY_NODES else _LOOKS_PER_RUN
        while True:
            await asyncio.sleep(run.check_every or run.duration_s / looks)
            self.look()

    def look(self) -> None:
        """What is wrong now and was not known."""
        self.looks += 1
        known = {(violation.checker, violation.what) for violation in self.violations}
        self.violations += [
            violation
            for violation in check_all(self._world.view, self._checkers)
            if (violation.checker, violation.what) not in known
        ]

    def count_unseen_errors(self) -> None:
        """Errors of tasks and callbacks that nobody took are violations too."""
        loop = self._world.loop
        loop.find_unseen()
        self.violations += [
            Violation(loop.time(), "no_unseen_errors", repr(error)) for error in loop.unhandled
        ]

    def verdicts(self) -> dict[str, Any]:
        """Of each checker: what must hold, how often it did not, and what it cannot see."""
        return {
            checker.name: {
                "holds": " ".join((checker.__doc__ or "").split()),
                "does_not_check": checker.blind_to,
                "violations": sum(found.checker == checker.name for found in self.violations),
            }
            for checker in self._checkers
        }
