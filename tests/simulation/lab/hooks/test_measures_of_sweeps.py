"""What a scenario's own code tells stands in sweeps, beside what the laboratory measures."""

from __future__ import annotations

import csv
from pathlib import Path

from simulations.__main__ import main

SCENARIO = """
[run]
scenario = "deep"
nodes = 3
duration_s = "1 min"
settle_s = "1 s"
module = "deep.py"
"""
MODULE = """
from dataclasses import dataclass

from simulations.results.measure import Measure
from simulations.settings import integer


@dataclass(frozen=True, slots=True)
class Parameters:
    depth: int = integer(1)


async def drive(world, parameters, seed):
    world.sample("depth", "left", parameters.depth)
    world.sample("depth", "right", -parameters.depth)


def last(run):
    return run.metric("depth")[-1].value


MEASURES = (Measure("last", last, unit="m"), Measure("never", lambda run: None))
"""


def test_measures_and_samples_stand_in_its_table_and_plots(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text(SCENARIO)
    (tmp_path / "deep.py").write_text(MODULE)
    out = tmp_path / "out"
    vary = ["--vary", "parameters.depth=2,8", "--futures", "2"]
    assert main(["branch", str(tmp_path / "deep.toml"), *vary, "--out", str(out)]) == 0
    assert main(["report", str(out)]) == 0
    with (out / "sweep.csv").open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    own = {
        (row["parameters.depth"], row["measure"], row["kind"]): (float(row["mean"]), row["runs"])
        for row in rows
        if row["measure"] in ("depth", "last", "never")
    }
    assert own == {
        ("2", "depth", "left"): (2.0, "2"),
        ("2", "depth", "right"): (-2.0, "2"),
        ("2", "last", ""): (-2.0, "2"),
        ("8", "depth", "left"): (8.0, "2"),
        ("8", "depth", "right"): (-8.0, "2"),
        ("8", "last", ""): (-8.0, "2"),
    }
    assert (out / "own-last.png").exists()
    assert (out / "own-depth.png").exists()
