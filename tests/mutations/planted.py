"""Planted defects: patches of the node, each with what it plants and where that shows.

A patch begins with lines ``plants: ...``, ``set: ...`` (what is set in its world to show it) and
``world: ...`` (a file in worlds/, small.toml if there is no such line) and ``caught: ...`` (the
checker that must find it, else any).  A world whose settings are as in its file is held against
its service level, too.  A run that fails, or takes too long, says nothing of its defect.
"""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.source_tree import ROOT

HERE = Path(__file__).parent
# Of a shell, for what it bounds is bounded before the program begins, whatever threads are here.
_BOUNDED = 'ulimit -c 0; ulimit -S -t "$0"; exec "$@"'


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one run.  CPU time is what it costs, however busy the machine; the wall clock only ends
    what waits for ever."""

    cpu_s: int = 280
    wall_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The checkers that found something in a run, or why it ``failed`` and none could."""

    found: tuple[str, ...] = ()
    failed: str = ""

    @property
    def well(self) -> bool:
        return not self.found and not self.failed

    def __str__(self) -> str:
        return self.failed or ", ".join(self.found)


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """A world, and what is set in it."""

    world: str
    settings: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.world}: {' '.join(self.settings)}"


@dataclass(frozen=True, slots=True)
class Planted:
    """A defect, where it shows, and the checker that must find it ("" for any)."""

    name: str
    patch: Path
    plants: str
    where: Where
    by: str = ""

    def caught(self, outcome: Outcome) -> bool:
        if outcome.failed:
            return False
        return self.by in outcome.found if self.by else bool(outcome.found)


def every() -> list[Planted]:
    """In order of their names."""
    return [_read(path) for path in sorted((HERE / "patches").glob("*.patch"))]


def _read(path: Path) -> Planted:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = dict(line.split(": ", 1) for line in itertools.takewhile(lambda one: ": " in one, lines))
    where = Where(head.get("world", "small"), tuple(shlex.split(head["set"])))
    return Planted(path.stem, path, head["plants"], where, head.get("caught", ""))


def applies(planted: Planted, where: Path = ROOT, *, check: bool = True) -> str:
    """Apply it there, or only see whether it could be; what is wrong, "" if nothing."""
    command = ["git", "apply", *(["--check"] if check else []), str(planted.patch)]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def caught_by(planted: Planted | None, where: Where, limits: Limits = Limits()) -> Outcome:
    """What finds something in a copy with the defect, or without any; ``service`` if its level is
    violated, ``asked`` if what the world asks of its measures is."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for room in ("dhtstore", "simulations"):
            shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
        if planted is not None and (wrong := applies(planted, copy, check=False)):
            return Outcome(failed=f"does not apply: {wrong.strip()}")
        return _outcome(copy, where, limits)


def _outcome(copy: Path, where: Where, limits: Limits) -> Outcome:
    chosen = [word for one in where.settings for word in ("--set", one)]
    world = HERE / "worlds" / f"{where.world}.toml"
    command = [sys.executable, "-m", "simulations", "run", str(world), *chosen]
    stopped, errors = _run([*command, "--out", str(copy / "out")], copy, limits)
    summary = copy / "out" / "summary.json"
    if stopped or not summary.exists():
        return Outcome(failed=f"did not run: {stopped or errors[-200:]}")
    told = json.loads(summary.read_text(encoding="utf-8"))
    found = [name for name, one in sorted(told["checkers"].items()) if one["violations"]]
    return Outcome((*found, *(word for word in ("service", "asked") if told[word]["violated"])))


def _run(command: list[str], copy: Path, limits: Limits) -> tuple[str, str]:
    """Why it was stopped, "" if it came to its end, and what it said of its errors."""
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", _BOUNDED, str(limits.cpu_s), *command],
            cwd=copy,
            env={"PYTHONPATH": str(copy), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=limits.wall_s,
        )
    except subprocess.TimeoutExpired:
        return f"not done after {limits.wall_s:g} s", ""
    if done.returncode == -signal.SIGXCPU:
        return f"more than {limits.cpu_s} s of CPU", ""
    stopped = f"ended by signal {-done.returncode}" if done.returncode < 0 else ""
    return stopped, done.stderr.strip()
