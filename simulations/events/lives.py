"""Who comes and goes in all groups of a scenario."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

from simulations.events.arrivals import Newcomer, arrivals
from simulations.events.churn import Change, Schedule, from_settings
from simulations.scenario import Scenario


class Lives:
    """Of the nodes of a scenario, each by the churn of its group, and of those that arrive.

    ``seed`` decides who is up at the start, ``chance`` everything after it; files are relative to
    ``folder``.  ``models`` is the churn of each group, None for one whose nodes all stay.
    """

    def __init__(self, scenario: Scenario, seed: int, chance: int, folder: Path) -> None:
        self._scenario, self._chance = scenario, chance
        self._lasts_s = scenario.run.settle_s + scenario.run.duration_s
        self.models = {one.name: from_settings(one.churn, folder) for one in scenario.groups}
        self._schedules = {
            group.name: Schedule(model, group.count, seed, chance, group.first)
            for group in scenario.groups
            if (model := self.models[group.name]) is not None
        }

    def up_at_start(self) -> list[int]:
        """Numbers of the nodes that run when the scenario begins."""
        return [
            number
            for group in self._scenario.groups
            for place, number in enumerate(group.numbers)
            if self.models[group.name] is None or self._schedules[group.name].up_at_start[place]
        ]

    def past(self, number: int) -> Iterator[float]:
        """How long a node's state at the start had lasted by then, and how long those before."""
        group = next(one for one in self._scenario.groups if number in one.numbers)
        schedule = self._schedules.get(group.name)
        return schedule.past(number) if schedule is not None else repeat(math.inf)

    def changes(self) -> Iterator[Change]:
        """From when the world is made until the scenario's end, in order of time, then node; may be
        asked for once."""
        each = (schedule.changes(self._lasts_s) for schedule in self._schedules.values())
        return heapq.merge(*each, key=lambda change: (change.at_s, change.node))

    def newcomers(self) -> list[Newcomer]:
        """As ``changes``."""
        scenario = self._scenario
        groups = [(one, self.models[one.name]) for one in scenario.groups]
        return list(arrivals(scenario.churn, groups, self._lasts_s, self._chance))
