"""Planted defects: patches of the node, each with what it plants and where that shows.

A patch begins with lines ``plants: ...``, ``set: ...`` (what is set in its world to show it) and
``world: ...`` (a file in worlds/, small.toml if there is no such line) and ``caught: ...`` (the
checker that must find it, else any).  A world whose settings are as in its file is held against
its service level, too.
"""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.source_tree import ROOT

HERE = Path(__file__).parent
_RUN_MAX_S = 280.0


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

    def caught(self, found: list[str]) -> bool:
        return self.by in found if self.by else bool(found)


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


def caught_by(planted: Planted | None, where: Where) -> list[str]:
    """Names of the checkers that find something in a copy with the defect, or without any;
    ``service`` if its level is violated."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for room in ("dhtstore", "simulations"):
            shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
        if planted is not None and (wrong := applies(planted, copy, check=False)):
            return [f"does not apply: {wrong.strip()}"]
        return _found(copy, where)


def _found(copy: Path, where: Where) -> list[str]:
    chosen = [word for one in where.settings for word in ("--set", one)]
    world = HERE / "worlds" / f"{where.world}.toml"
    command = [sys.executable, "-m", "simulations", "run", str(world), *chosen]
    done = subprocess.run(
        [*command, "--out", str(copy / "out")],
        cwd=copy,
        env={"PYTHONPATH": str(copy), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=_RUN_MAX_S,
    )
    summary = copy / "out" / "summary.json"
    if not summary.exists():
        return [f"did not run: {done.stderr.strip()[-200:]}"]
    told = json.loads(summary.read_text(encoding="utf-8"))
    found = [name for name, one in sorted(told["checkers"].items()) if one["violations"]]
    return found + (["service"] if told["service"]["violated"] else [])
