"""Several runs from one world.

A snapshot of a world is a process: it holds live coroutines, which cannot be written to a file.
So the world is made once and the process forked for each branch, which shares its memory until
it writes.  ``one_run.futures`` says what may differ between branches.
"""

from __future__ import annotations

import gc
import itertools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulations.errors import ScenarioError
from simulations.lab.one_run.futures import check_branch
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
    return [
        Branch(settings, from_tables(scenario.raw, settings))
        for settings in itertools.product(*axes)
    ]


def _axis(text: str) -> list[str]:
    key, equals, values = text.partition("=")
    if not equals:
        raise ScenarioError(f"not of the form section.key=value,value: {text!r}")
    return [f"{key.strip()}={value.strip()}" for value in values.split(",")]


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
