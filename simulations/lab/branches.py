"""Several runs from one world: what may differ between them, and running them.

A snapshot of a world is a process: it holds live coroutines, which cannot be written to a file.
So the world is made once and the process forked for each branch, which shares its memory until
it writes.  What a branch may change is what has no effect before the world has begun; hence a
branch gives, byte for byte, the trace of a run of its own scenario from the start.
"""

from __future__ import annotations

import dataclasses
import gc
import itertools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from simulations.errors import ScenarioError
from simulations.scenario import Scenario, from_tables
from simulations.seeds import derived_seed

_EVERYTHING: Final = ("*",)
_LATER: Final = {
    "run": ("duration_s", "settle_s", "future"),
    "churn": ("leave", "keep_data"),
    "workload": _EVERYTHING,
    "faults": _EVERYTHING,
}
# Making a warm world sends nothing; nodes that join suffer from the network as it is.
_LATER_IF_WARM: Final = ("loss", "jitter", "duplicate", "reorder", "mtu_bytes")


def seed_of_future(seed: int, future: int) -> int:
    """What decides everything after the start; future 0 is the seed's own."""
    return derived_seed(seed, f"future/{future}") if future else seed


def check_branch(world: Scenario, branch: Scenario) -> None:
    """Raise ScenarioError, naming the key, unless both begin with the same world."""
    for name in ("run", "network", "churn", "workload", "faults"):
        one, other = getattr(world, name), getattr(branch, name)
        for field in dataclasses.fields(one):
            differs = getattr(one, field.name) != getattr(other, field.name)
            if differs and not _may_differ(world, name, field.name):
                raise ScenarioError(f"{name}.{field.name} shapes the beginning: it cannot vary")


def _may_differ(world: Scenario, section: str, key: str) -> bool:
    if section == "network":
        return world.run.warm_start and key in _LATER_IF_WARM
    allowed = _LATER.get(section, ())
    return allowed is _EVERYTHING or key in allowed


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
