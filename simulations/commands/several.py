"""``branch`` and ``sweep``: several runs of one scenario, a folder each."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simulations.commands.common import (
    Subparsers,
    exit_code,
    load_chosen,
    positive,
    scenario_options,
)
from simulations.lab.many_runs import branches, sweep
from simulations.lab.one_run.experiment import Experiment
from simulations.results import run_folder


def add(commands: Subparsers) -> None:
    branch = commands.add_parser("branch", help="make a world once, go on from it several times")
    scenario_options(branch, seed="instead of run.seed")
    branch.add_argument("--futures", type=positive, default=0, help="so many futures of each")
    _options(branch, "branches")
    branch.set_defaults(do=_branch)
    many = commands.add_parser("sweep", help="run each of several values with several seeds")
    scenario_options(many, seed="the first, instead of run.seed")
    many.add_argument("--seeds", type=positive, default=10, help="how many (default 10)")
    _options(many, "sweep")
    many.set_defaults(do=_sweep)


def _options(command: argparse.ArgumentParser, kind: str) -> None:
    command.add_argument("--vary", action="append", default=[], metavar="SECTION.KEY=VALUE,VALUE")
    command.add_argument("--jobs", type=positive, default=1, help="runs at a time")
    command.add_argument("--out", type=Path, help=f"folder of folders (default runs/NAME-{kind})")


def _branch(chosen: argparse.Namespace) -> int:
    scenario, path = load_chosen(chosen)
    ways = branches.branches(scenario, chosen.vary, range(1, chosen.futures + 1))
    out = _folder_of_runs(chosen, scenario.run.scenario or path.stem, ways)
    world = Experiment(scenario, scenario.run.seed, None, folder=path.parent)
    world.begin()

    def go_on(way: branches.Branch, kept: run_folder.RunFolder) -> dict[str, Any]:
        world.branch(way.scenario, kept)
        return world.run()

    return _run_all(out, ways, go_on, path.parent, chosen.jobs)


def _sweep(chosen: argparse.Namespace) -> int:
    scenario, path = load_chosen(chosen)
    seeds = range(scenario.run.seed, scenario.run.seed + chosen.seeds)
    ways = branches.combinations(scenario, chosen.vary, "run.seed", seeds)
    out = _folder_of_runs(chosen, scenario.run.scenario or path.stem, ways)

    def run(way: branches.Branch, kept: run_folder.RunFolder) -> dict[str, Any]:
        seed = way.scenario.run.seed
        return Experiment(way.scenario, seed, kept, folder=path.parent).run()

    code = _run_all(out, ways, run, path.parent, chosen.jobs)
    print(sweep.estimates_as_text(sweep.estimates(sweep.load(out))))
    print(f"results in {out}; `report {out}` draws them")
    return code


def _folder_of_runs(chosen: argparse.Namespace, name: str, ways: Sequence[branches.Branch]) -> Path:
    kind = "sweep" if chosen.do is _sweep else "branches"
    out: Path = chosen.out or run_folder.free_folder(Path("runs") / f"{name}-{kind}")
    sweep.write_plan(out, ways)
    return out


def _run_all(
    out: Path,
    ways: Sequence[branches.Branch],
    run: Callable[[branches.Branch, run_folder.RunFolder], dict[str, Any]],
    source: Path,
    jobs: int,
) -> int:
    """Each way in a process and a folder of its own; the worst exit code."""

    def one(number: int) -> int:
        way, folder = ways[number], out / sweep.folder_of(number)
        with run_folder.RunFolder(folder, way.scenario, way.scenario.run.seed, source) as kept:
            summary = run(way, kept)
        end = "interrupted" if summary["interrupted"] else f"trace sha256 {summary['trace_sha256']}"
        print(f"{folder}  {' '.join(way.settings)}  {end}")
        return exit_code(summary)

    return max(branches.fork_each(len(ways), one, jobs))
