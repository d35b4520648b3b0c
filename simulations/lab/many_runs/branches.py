"""Several runs from one world.

A snapshot of a world is a process: it holds live coroutines, which cannot be written to a file.
So the world is made once and the process forked for each branch, which shares its memory until
it writes.  ``one_run.futures`` says what may differ between branches.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulations.errors import ScenarioError
from simulations.lab.one_run.futures import check_branch
from simulations.lab.one_run.scenario_module import ScenarioModule
from simulations.scenario import Scenario, from_tables


@dataclass(frozen=True, slots=True)
class Branch:
    """One way on: what was set, and the whole scenario with it."""

    settings: tuple[str, ...]
    scenario: Scenario


def branches(world: Scenario, vary: Sequence[str], futures: Sequence[int]) -> list[Branch]:
    """Every combination of ``SECTION.KEY=VALUE,VALUE`` and futures; raises ScenarioError."""
    found = combinations(world, vary, "run.future", futures)
    for branch in found:
        check_branch(world, branch.scenario)
    return found


def combinations(
    scenario: Scenario, vary: Sequence[str], repeat: str, numbers: Sequence[int]
) -> list[Branch]:
    """Every combination of ``SECTION.KEY=VALUE,VALUE``, each with every number for the key
    ``repeat``; raises ScenarioError."""
    axes = [_axis(text) for text in vary]
    axes += [[f"{repeat}={number}" for number in numbers]] if numbers else []
    _check_once([axis[0].partition("=")[0] for axis in axes], repeat)
    return [
        Branch(settings, from_tables(scenario.raw, settings))
        for settings in itertools.product(*axes)
    ]


def check_modules(ways: Sequence[Branch], source: Path) -> None:
    """Raise ScenarioError unless what differs suits the module of each, which is in ``source``:
    the first of a hundred runs is too late to find out about the last."""
    checked = set[str]()
    for way in ways:
        raw = way.scenario.raw
        differs = json.dumps([way.scenario.run.module, raw.get("parameters"), raw.get("workload")])
        if differs not in checked:
            ScenarioModule(way.scenario, source)
            checked.add(differs)


def _axis(text: str) -> list[str]:
    key, equals, values = text.partition("=")
    if not equals:
        raise ScenarioError(f"not of the form section.key=value,value: {text!r}")
    written = [value.strip() for value in values.split(",")]
    if len(set(written)) < len(written):
        raise ScenarioError(f"{key.strip()}: a value stands twice in {values.strip()!r}")
    return [f"{key.strip()}={value}" for value in written]


def _check_once(keys: Sequence[str], repeat: str) -> None:
    """What is varied twice would make the same run several times, and intervals too narrow."""
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        which = "seeds or futures do that: say how many" if twice[0] == repeat else "once is enough"
        raise ScenarioError(f"{twice[0]} is varied twice; {which}")


def fork_each(count: int, work: Callable[[int], int], jobs: int) -> list[int]:
    """Run ``work(0)`` to ``work(count - 1)``, each in a copy of this process, ``jobs`` at a time;
    the exit codes they returned, in order (1 for a copy that failed or was killed)."""
    codes, running = list[int](), list[int]()
    gc.collect()
    gc.freeze()  # a page that the collector marks is shared no more
    try:
        for number in range(count):
            if len(running) >= jobs:
                codes.append(_wait(running.pop(0)))
            running.append(_fork(work, number))
    finally:  # also when interrupted: so is every copy, and each writes what it has
        codes += [_wait(process) for process in running]
        gc.unfreeze()
    return codes


def _fork(work: Callable[[int], int], number: int) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        code = work(number)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(process: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return code if code >= 0 else 1
