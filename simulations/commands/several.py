"""``branch`` and ``sweep``: several runs of one scenario, a folder each."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from simulations.commands.common import (
    Subparsers,
    exit_code,
    load_chosen,
    new_folder,
    positive,
    scenario_options,
)
from simulations.errors import INTERRUPTED
from simulations.lab.many_runs import branches, plan, sweep
from simulations.lab.many_runs.estimates import estimates, estimates_as_text, write_tables
from simulations.lab.many_runs.sweeping import (
    SweepOrder,
    SweepProgress,
    Workers,
    folder_to_go_on_in,
    run_sweep,
)
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.progress import clock_time
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
    many.add_argument(
        "--scheduler", default="", metavar="tcp://HOST:PORT", help="of a Dask cluster to run on"
    )
    many.set_defaults(do=_sweep)


def _options(command: argparse.ArgumentParser, kind: str) -> None:
    command.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE,VALUE",
        help="each of these values; repeated for another key, every combination",
    )
    command.add_argument("--jobs", type=positive, default=1, help="runs at a time")
    command.add_argument(
        "--out", type=new_folder, help=f"folder of folders (default runs/NAME-{kind})"
    )


# --- branch -----------------------------------------------------------------------------------


def _branch(chosen: argparse.Namespace) -> int:
    scenario, path = load_chosen(chosen)
    ways = branches.branches(scenario, chosen.vary, range(1, chosen.futures + 1))
    branches.check_modules(ways, path.parent)
    name = scenario.run.scenario or path.stem
    out = chosen.out or run_folder.free_folder(Path("runs") / f"{name}-branches")
    plan.new_plan(out, scenario, ways, path.parent)
    world = Experiment(scenario, scenario.run.seed, None, folder=path.parent)
    world.begin()

    def go_on(number: int) -> int:
        way, folder = ways[number], out / plan.folder_of(number)
        with run_folder.RunFolder(folder, way.scenario, way.scenario.run.seed, path.parent) as kept:
            world.branch(way.scenario, kept)
            summary = world.run()
        end = "interrupted" if summary["interrupted"] else f"trace sha256 {summary['trace_sha256']}"
        print(f"{folder}  {' '.join(way.settings)}  {end}")
        return exit_code(summary)

    return max(branches.fork_each(len(ways), go_on, chosen.jobs))


# --- sweep ------------------------------------------------------------------------------------


def _sweep(chosen: argparse.Namespace) -> int:
    scenario, path = load_chosen(chosen)
    order = SweepOrder(scenario, path.parent, chosen.vary, chosen.seeds)
    name = scenario.run.scenario or path.stem
    out = chosen.out or folder_to_go_on_in(Path("runs") / f"{name}-sweep", order)
    try:
        failed = run_sweep(order, out, Workers(chosen.jobs, chosen.scheduler), SweepTeller(out))
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on in {out} with the runs that are left")
        return INTERRUPTED
    for end in failed:
        print(f"failed: {out / end.name}  {' '.join(end.settings)}  {end.error}")
    found = sweep.load(out)
    known = estimates(found)
    write_tables(found, known)
    print(estimates_as_text(known))
    print(f"results in {out}; `report {out}` draws them")
    return 1 if failed or _is_violated(found) else 0


def _is_violated(found: sweep.Sweep) -> bool:
    counts = (sweep.VIOLATIONS, sweep.SERVICE_VIOLATED, sweep.ASKED_VIOLATED)
    measures = (one for run in found.runs for one in run.measures)
    return any(one.value for one in measures if one.name in counts)


class SweepTeller:
    """A line for each run, as it ends."""

    def __init__(self, out: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._begun_s, self._done_before = clock(), 0

    def __call__(self, now: SweepProgress) -> None:
        count = f"{now.done} of {now.total}"
        if now.end is None:
            self._begun_s, self._done_before = self._clock(), now.done
            if now.done:
                print(f"{count} runs are finished in {self._out}: going on", flush=True)
            return
        end = f"trace sha256 {now.end.trace_sha256}"
        if now.end.error:
            end = f"failed, {'tried once more' if now.again else 'twice'}: {now.end.error}"
        elif now.end.violations or now.end.violated:
            found = [f"{now.end.violations} violations"] if now.end.violations else []
            end = "; ".join([*found, *now.end.violated, end])
        settings = " ".join(now.end.settings)
        end += self._left(now)
        print(f"{count}  {self._out / now.end.name}  {settings}  {end}", flush=True)

    def _left(self, now: SweepProgress) -> str:
        """How long the others take, if they take as long as those that were made now."""
        made = now.done - self._done_before
        if not made or now.done == now.total:
            return ""
        left_s = (self._clock() - self._begun_s) / made * (now.total - now.done)
        return f"  about {clock_time(left_s)} left"
