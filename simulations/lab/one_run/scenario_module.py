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
import dataclasses
import difflib
import importlib.util
import inspect
import sys
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
from simulations.lab.one_run.hooks.own_errors import nothing_left_unawaited, told_with_place
from simulations.lab.one_run.world import World
from simulations.results.measure import Measure
from simulations.scenario import Scenario

_DRIVE, _OPERATIONS = "(world, parameters, seed)", "(parameters, nodes, duration_s, seed)"
_KNOWN = ("Parameters", "operations", "drive", "CHECKERS", "MEASURES")
_NEARLY = 0.8  # of difflib: one letter more, less or another in a word of five
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
        _check_names("measures", [measure.name for measure in self.measures])
        _check_names("checkers", [checker.name for checker in self.checkers])

    @property
    def has_code(self) -> bool:
        """Whether anything of it runs while the scenario does."""
        parts = self._parts
        return bool(parts.drive or parts.operations or parts.checkers)

    def operations(self, seed: int) -> Iterator[UserAction]:
        """In order of time."""
        run, at_s = self._scenario.run, 0.0
        if self._parts.operations is None:
            yield from workload.operations(self._scenario.workload, run.nodes, run.duration_s, seed)
            return
        try:
            own = self._parts.operations(self._parameters, run.nodes, run.duration_s, seed)
            for action in own:
                at_s = workload.check_action(action, at_s).at_s
                yield action
        except (Exception, SystemExit) as error:
            raise _failed("operations", error) from error

    async def drive(self, world: World) -> None:
        """The module's part in what happens; raises ModuleFailed."""
        if self._parts.drive is None:
            return
        try:
            await self._parts.drive(world, self._parameters, world.chance)
        except (Exception, SystemExit) as error:
            raise _failed("drive", error) from error


def _check(parts: Parts) -> None:
    """Raise ScenarioError for what can be seen to be wrong before anything runs."""
    _check_holds("MEASURES", parts.measures, Measure)
    _check_holds("CHECKERS", parts.checkers, Checker)
    if not all(hasattr(one, "name") and hasattr(one, "blind_to") for one in parts.checkers):
        raise ScenarioError("CHECKERS: each has a `name` and says what it is `blind_to`")
    _check_parameters(parts.parameters)
    if parts.drive is not None and not inspect.iscoroutinefunction(parts.drive):
        raise ScenarioError(f"drive is to be `async def drive{_DRIVE}`")
    _check_takes("drive", parts.drive, _DRIVE)
    _check_takes("operations", parts.operations, _OPERATIONS)


def _check_holds(name: str, values: object, kind: type[Any]) -> None:
    if not isinstance(values, list | tuple) or not all(isinstance(one, kind) for one in values):
        where = f"{kind.__name__} objects, of {kind.__module__}"
        raise ScenarioError(f"{name} holds {where}, with a comma behind each")


def _check_parameters(section: type[Any]) -> None:
    if not dataclasses.is_dataclass(section) or not all(
        "read" in field.metadata for field in dataclasses.fields(section)
    ):
        example = 'dead: float = share("30 %")'
        raise ScenarioError(
            f"Parameters is a dataclass with fields of simulations.settings, as `{example}`"
        )


def _check_names(what: str, names: Sequence[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ScenarioError(f"two {what} have one name: {twice[0]}")


def _check_takes(name: str, function: Callable[..., Any] | None, taken: str) -> None:
    if function is None:
        return
    try:
        inspect.signature(function).bind(*taken.strip("()").split(", "))
    except (TypeError, ValueError) as error:
        raise ScenarioError(f"{name} is to take {taken}: {error}") from error


def _failed(name: str, error: BaseException) -> ModuleFailed:
    return ModuleFailed(f"{name} of the scenario: {told_with_place(error)}")


def _check_spelling(module: ModuleType, path: Path) -> None:
    """Raise ScenarioError for a name of its own that is nearly one of those that are looked for,
    and which nobody would look at."""
    missing = [name for name in _KNOWN if not hasattr(module, name)]
    for name, value in vars(module).items():
        own = getattr(value, "__module__", module.__name__) == module.__name__
        if name.startswith("_") or name in _KNOWN or not own or isinstance(value, ModuleType):
            continue
        near = difflib.get_close_matches(name, missing, n=1, cutoff=_NEARLY)
        near += [one for one in missing if one.lower() == name.lower()]
        if near:
            raise ScenarioError(f"run.module: {path}: nobody looks at {name}; is it {near[0]}?")


def _parts_of(module: ModuleType) -> Parts:
    return Parts(
        getattr(module, "Parameters", NoParameters),
        getattr(module, "operations", None),
        getattr(module, "drive", None),
        getattr(module, "CHECKERS", ()),
        getattr(module, "MEASURES", ()),
    )


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise ScenarioError(f"run.module: there is no file {path}")
    name = f"dhtstore_scenario_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ScenarioError(f"run.module: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look up the types of their fields
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a run's folder stays as it is
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ScenarioError(f"run.module: {path}: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = before
    _check_spelling(module, path)
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
            with nothing_left_unawaited(self._unawaited):
                await course
        except asyncio.CancelledError:
            if self._failed is None:
                raise
            raise self._failed from self._failed.__cause__

    async def drive(self, world: World) -> None:
        try:
            await self._module.drive(world)
        except ModuleFailed as error:
            self._fail(error)

    def _unawaited(self, told: str) -> None:
        if self._module.has_code:
            self._fail(ModuleFailed(f"an await is missing in the scenario: {told}"))

    def _fail(self, error: ModuleFailed) -> None:
        if self._failed is None:
            self._failed = error
            if self._course is not None:
                self._course.cancel()
