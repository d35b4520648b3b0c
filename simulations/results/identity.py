"""Which run is which: the same scenario, files, seed and code give the same results."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import dhtstore
from simulations.scenario import Scenario

# Rooms of the laboratory that read what a run left, and have no part in it.
_READERS = ("validation", "report", "commands", "notebook")


def run_digest(scenario: Scenario, seed: int, source: Path) -> str:
    """Of all that is run, but for the code; the files that the scenario names are in ``source``.
    Raises ScenarioError."""
    told = f"{scenario.settings_sha256(source)}/{seed}/{scenario.run.future}"
    return hashlib.sha256(told.encode()).hexdigest()


@functools.cache
def code_digest() -> str:
    """Of the sources of the node and of what the laboratory runs, as they lie here."""
    digest = hashlib.sha256()
    laboratory = Path(__file__).parent.parent
    for package in (Path(dhtstore.__file__).parent, laboratory):
        for path in sorted(package.rglob("*.py")):
            name = path.relative_to(package)
            if package is not laboratory or name.parts[0] not in _READERS:
                digest.update(name.as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
