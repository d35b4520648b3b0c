"""A scenario's own module: a Python file beside it, named by ``run.module``.

It may define any of

    Parameters                       a frozen dataclass of ``simulations.settings``: [parameters]
    operations(parameters, nodes, duration_s, seed) -> Iterator[UserAction]
                                     what users do, instead of [workload]
    async def drive(world, parameters, seed)
                                     anything else that happens, from the begin of the scenario
                                     (``lab.one_run.world.World``)
    CHECKERS                         further checkers

``seed`` is what its randomness must come from.  The file is Python that runs as it is: read one
that somebody else gives you before you run or replay it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from simulations.checks.checker import Checker
from simulations.checks.checkers import CHECKERS
from simulations.errors import ScenarioError
from simulations.events import workload
from simulations.events.workload import UserAction
from simulations.lab.one_run.world import World
from simulations.scenario import Scenario

_KNOWN = ("Parameters", "operations", "drive", "CHECKERS")


@dataclass(frozen=True, slots=True)
class NoParameters:
    """Of scenarios that have none."""


class ScenarioModule:
    """What is special about a scenario; raises ScenarioError for a module or parameters that do
    not fit."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self._scenario = scenario
        self._module = _load(folder / scenario.run.module) if scenario.run.module else None
        self._parameters = scenario.parameters(getattr(self._module, "Parameters", NoParameters))
        if self._operations is not None and scenario.workload.kind != "none":
            raise ScenarioError("workload.kind: the module's operations take its place, leave it")
        self.checkers: tuple[Checker, ...] = (*CHECKERS, *getattr(self._module, "CHECKERS", ()))

    @property
    def _operations(self) -> Any:
        return getattr(self._module, "operations", None)

    def operations(self, seed: int) -> Iterator[UserAction]:
        """In order of time."""
        run = self._scenario.run
        if self._operations is None:
            yield from workload.operations(self._scenario.workload, run.nodes, run.duration_s, seed)
        else:
            yield from self._operations(self._parameters, run.nodes, run.duration_s, seed)

    async def drive(self, world: World) -> None:
        """The module's part in what happens."""
        drive = getattr(self._module, "drive", None)
        if drive is not None:
            await drive(world, self._parameters, world.chance)


def _load(path: Path) -> ModuleType:
    name = f"dhtstore_scenario_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ScenarioError(f"run.module: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look up the types of their fields
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a run's folder stays as it is
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ScenarioError(f"run.module: {path}: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = before
    if not any(hasattr(module, name) for name in _KNOWN):
        raise ScenarioError(f"run.module: {path} defines none of {', '.join(_KNOWN)}")
    return module
