"""A scenario's own module: a Python file beside it, named by ``run.module``.

It may define any of

    Parameters                       a frozen dataclass of ``simulations.settings``: [parameters]
    operations(parameters, nodes, duration_s, seed) -> Iterator[UserAction]
                                     what users do, instead of [workload]
    async def drive(world, parameters, seed)
                                     anything else that happens, from the begin of the scenario
                                     (``lab.one_run.world.World``)
    CHECKERS                         further checkers
    MEASURES                         figures of a finished run (``results.measure.Measure``)

``seed`` is what its randomness must come from.  The file is Python that runs as it is: read one
that somebody else gives you before you run or replay it.  ``Parts`` are the same without a file,
from a notebook.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from simulations.checks.checker import Checker
from simulations.checks.checkers import CHECKERS
from simulations.errors import ModuleFailed, ScenarioError
from simulations.events import workload
from simulations.events.workload import UserAction
from simulations.lab.one_run.world import World
from simulations.results.measure import Measure
from simulations.scenario import Scenario

_DRIVE, _OPERATIONS = "(world, parameters, seed)", "(parameters, nodes, duration_s, seed)"
_LABORATORY = str(Path(__file__).parents[2])
_KNOWN = ("Parameters", "operations", "drive", "CHECKERS", "MEASURES")
Operations = Callable[[Any, int, float, int], Iterator[UserAction]]
Drive = Callable[[World, Any, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NoParameters:
    """Of scenarios that have none."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is special about a scenario; see the module's own documentation."""

    parameters: type[Any] = NoParameters
    operations: Operations | None = None
    drive: Drive | None = None
    checkers: Sequence[Checker] = ()
    measures: Sequence[Measure] = ()


class ScenarioModule:
    """The parts of a scenario, from its module or as they are given; raises ScenarioError for some
    that do not fit it."""

    def __init__(self, scenario: Scenario, folder: Path, given: Parts | None = None) -> None:
        self._scenario = scenario
        if given is not None and scenario.run.module:
            raise ScenarioError("run.module: it has parts of its own, and others are given")
        path = folder / scenario.run.module
        self._parts = given or (_parts_of(_load(path)) if scenario.run.module else Parts())
        _check(self._parts)
        self._parameters = scenario.parameters(self._parts.parameters)
        if self._parts.operations is not None and scenario.workload.kind != "none":
            raise ScenarioError("workload.kind: the module's operations take its place, leave it")
        self.checkers: tuple[Checker, ...] = (*CHECKERS, *self._parts.checkers)
        self.measures = tuple(self._parts.measures)
        names = [measure.name for measure in self.measures]
        if len(set(names)) < len(names):
            raise ScenarioError(f"two measures have one name: {', '.join(names)}")

    def operations(self, seed: int) -> Iterator[UserAction]:
        """In order of time."""
        run = self._scenario.run
        if self._parts.operations is None:
            yield from workload.operations(self._scenario.workload, run.nodes, run.duration_s, seed)
            return
        try:
            yield from self._parts.operations(self._parameters, run.nodes, run.duration_s, seed)
        except Exception as error:
            raise _failed("operations", error) from error

    async def drive(self, world: World) -> None:
        """The module's part in what happens; raises ModuleFailed."""
        if self._parts.drive is None:
            return
        try:
            await self._parts.drive(world, self._parameters, world.chance)
        except Exception as error:
            raise _failed("drive", error) from error


def _check(parts: Parts) -> None:
    """Raise ScenarioError for what can be seen to be wrong before anything runs."""
    if not all(isinstance(measure, Measure) for measure in parts.measures):
        raise ScenarioError("MEASURES holds Measure objects, of simulations.results.measure")
    if parts.drive is not None and not inspect.iscoroutinefunction(parts.drive):
        raise ScenarioError(f"drive is to be `async def drive{_DRIVE}`")
    _check_takes("drive", parts.drive, _DRIVE)
    _check_takes("operations", parts.operations, _OPERATIONS)


def _check_takes(name: str, function: Callable[..., Any] | None, taken: str) -> None:
    if function is None:
        return
    try:
        inspect.signature(function).bind(*taken.strip("()").split(", "))
    except (TypeError, ValueError) as error:
        raise ScenarioError(f"{name} is to take {taken}: {error}") from error


def _failed(name: str, error: Exception) -> ModuleFailed:
    """Where the scenario's own code was when it raised: in the last of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    own = next(each for each in reversed(frames) if each.filename != __file__)
    for each in frames:
        if not each.filename.startswith(_LABORATORY):
            own = each
    where = f"{Path(own.filename).name}, line {own.lineno}, in {own.name}"
    return ModuleFailed(f"{name} of the scenario: {where}: {type(error).__name__}: {error}")


def _parts_of(module: ModuleType) -> Parts:
    return Parts(
        getattr(module, "Parameters", NoParameters),
        getattr(module, "operations", None),
        getattr(module, "drive", None),
        getattr(module, "CHECKERS", ()),
        getattr(module, "MEASURES", ()),
    )


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


class OwnCode:
    """A scenario's own code while a run goes on: ``drive`` runs beside the ``course`` of the run,
    and ends it where it fails, at once."""

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
