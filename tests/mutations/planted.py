"""Planted defects: patches of the node, each with what it plants and where that shows.

A patch begins with lines ``plants: ...`` and ``set: ...`` (what is set in small.toml to show it).
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Planted:
    """``settings`` are those of the world that shows it."""

    name: str
    patch: Path
    plants: str
    settings: tuple[str, ...]


def every() -> list[Planted]:
    """In order of their names."""
    return [_read(path) for path in sorted((HERE / "patches").glob("*.patch"))]


def _read(path: Path) -> Planted:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = dict(line.split(": ", 1) for line in lines[:2])
    return Planted(path.stem, path, head["plants"], tuple(shlex.split(head["set"])))


def applies(planted: Planted, where: Path = ROOT, *, check: bool = True) -> str:
    """Apply it there, or only see whether it could be; what is wrong, "" if nothing."""
    command = ["git", "apply", *(["--check"] if check else []), str(planted.patch)]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def caught_by(planted: Planted | None, settings: tuple[str, ...]) -> list[str]:
    """Names of the checkers that find something in a copy with the defect, or without any."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for room in ("dhtstore", "simulations"):
            shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
        if planted is not None and (wrong := applies(planted, copy, check=False)):
            return [f"does not apply: {wrong.strip()}"]
        return _found(copy, settings)


def _found(copy: Path, settings: tuple[str, ...]) -> list[str]:
    chosen = [word for one in settings for word in ("--set", one)]
    command = [sys.executable, "-m", "simulations", "run", str(HERE / "small.toml"), *chosen]
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
    checkers = json.loads(summary.read_text(encoding="utf-8"))["checkers"]
    return [name for name, one in sorted(checkers.items()) if one["violations"]]
