"""``python -m simulations``: run, sweep, branch, list, replay, compare, report, validate, explore.

Results on stdout, progress on stderr.  Exit codes: 0 well, 1 a checker found something or two
runs differ, 2 what was asked cannot be done, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from simulations import units
from simulations.errors import ScenarioError, SimulationError
from simulations.events.fault_schedule import Fault
from simulations.lab.many_runs import branches as future
from simulations.lab.many_runs import explore, sweep
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.progress import Bar
from simulations.results import run_folder as results
from simulations.scenario import Scenario, from_tables, load
from simulations.validation import findings
from simulations.validation import lookups as validation
from simulations.validation import session_lengths as uptime
from simulations.validation import table_health as health

SCENARIOS = Path(__file__).parent / "scenarios"
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print; returns the exit code."""
    chosen = parser().parse_args(arguments)
    try:
        code: int = chosen.do(chosen)
    except ScenarioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except SimulationError as error:
        print(f"the run failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulations", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a scenario")
    run.add_argument("scenario", help="a TOML file, a name that `list` shows, or a run's folder")
    run.add_argument("--seed", type=int, help="instead of run.seed")
    run.add_argument("--nodes", type=int, help="instead of run.nodes")
    run.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    run.add_argument(
        "--out", type=Path, help="a new folder for the results (default runs/NAME-SEED)"
    )
    run.add_argument("--trace", action="store_true", help="write trace.txt, a line an entry")
    run.set_defaults(do=_run)
    branch = commands.add_parser("branch", help="make a world once, go on from it several times")
    branch.add_argument("scenario", help="as for run")
    branch.add_argument("--seed", type=int, help="instead of run.seed")
    branch.add_argument("--nodes", type=int, help="instead of run.nodes")
    branch.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    branch.add_argument("--vary", action="append", default=[], metavar="SECTION.KEY=VALUE,VALUE")
    branch.add_argument("--futures", type=_positive, default=0, help="so many futures of each")
    branch.add_argument("--jobs", type=_positive, default=1, help="branches at a time")
    branch.add_argument("--out", type=Path, help="folder of folders (default runs/NAME-branches)")
    branch.set_defaults(do=_branch)
    many = commands.add_parser("sweep", help="run each of several values with several seeds")
    many.add_argument("scenario", help="as for run")
    many.add_argument("--seed", type=int, help="the first, instead of run.seed")
    many.add_argument("--seeds", type=_positive, default=10, help="how many (default 10)")
    many.add_argument("--nodes", type=int, help="instead of run.nodes")
    many.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    many.add_argument("--vary", action="append", default=[], metavar="SECTION.KEY=VALUE,VALUE")
    many.add_argument("--jobs", type=_positive, default=1, help="runs at a time")
    many.add_argument("--out", type=Path, help="folder of folders (default runs/NAME-sweep)")
    many.set_defaults(do=_sweep)
    commands.add_parser("list", help="the scenarios at hand").set_defaults(do=_list)
    replay = commands.add_parser("replay", help="run a folder's world again, compare the traces")
    replay.add_argument("folder", type=Path)
    replay.set_defaults(do=_replay)
    compare = commands.add_parser("compare", help="where two runs differ")
    compare.add_argument("folders", type=Path, nargs=2)
    compare.set_defaults(do=_compare)
    report = commands.add_parser("report", help="draw report.html and PNG files of a run or sweep")
    report.add_argument("folder", type=Path)
    report.set_defaults(do=_report)
    check = commands.add_parser("validate", help="hold a settled network against theory")
    check.add_argument("--nodes", type=_several, default=1000)
    check.add_argument("--lookups", type=_positive, default=1000)
    check.add_argument("--seed", type=int, default=1)
    check.add_argument("--live", metavar="DURATION", help="tables after so long under churn")
    check.add_argument("--churn", action="store_true", help="sessions beside their parameters")
    check.set_defaults(do=_validate)
    search = commands.add_parser("explore", help="search small random worlds for failures")
    search.add_argument("--minutes", type=float, default=1.0)
    search.add_argument("--seeds", type=_positive, help="how many, instead of for how long")
    search.add_argument("--first-seed", type=int, default=1)
    search.add_argument("--out", type=Path, default=Path("runs/explore"))
    search.set_defaults(do=_explore)
    return parser


def _at_least(low: int, spelled: str) -> int:
    number = int(spelled)
    if number < low:
        raise argparse.ArgumentTypeError(f"{number} is less than {low}")
    return number


def _positive(spelled: str) -> int:
    return _at_least(1, spelled)


def _several(spelled: str) -> int:
    return _at_least(2, spelled)


def _run(chosen: argparse.Namespace) -> int:
    scenario, path = _load(chosen)
    name = scenario.run.scenario or path.stem
    out = chosen.out or results.free_folder(Path("runs") / f"{name}-{scenario.run.seed}")
    summary = _execute(scenario, out, path.parent, with_lines=chosen.trace)
    print(json.dumps(_short(summary), indent=2))
    print(_verdicts(summary))
    print(f"results in {out}; trace sha256 {summary['trace_sha256']}")
    return _exit_code(summary)


def _load(chosen: argparse.Namespace) -> tuple[Scenario, Path]:
    path = _find(chosen.scenario)
    overrides = list(chosen.set)
    overrides += [f"run.seed={chosen.seed}"] if chosen.seed is not None else []
    overrides += [f"run.nodes={chosen.nodes}"] if chosen.nodes is not None else []
    return load(path, overrides), path


def _exit_code(summary: dict[str, Any]) -> int:
    if summary["interrupted"]:
        return _INTERRUPTED
    return 1 if summary["violations"] else 0


def _branch(chosen: argparse.Namespace) -> int:
    scenario, path = _load(chosen)
    ways = future.branches(scenario, chosen.vary, range(1, chosen.futures + 1))
    out = _folder_of_runs(chosen, scenario.run.scenario or path.stem, ways)
    world = Experiment(scenario, scenario.run.seed, None, folder=path.parent)
    world.begin()

    def go_on(way: future.Branch, kept: results.RunFolder) -> dict[str, Any]:
        world.branch(way.scenario, kept)
        return world.run()

    return _run_all(out, ways, go_on, path.parent, chosen.jobs)


def _sweep(chosen: argparse.Namespace) -> int:
    scenario, path = _load(chosen)
    seeds = range(scenario.run.seed, scenario.run.seed + chosen.seeds)
    ways = future.combinations(scenario, chosen.vary, "run.seed", seeds)
    out = _folder_of_runs(chosen, scenario.run.scenario or path.stem, ways)

    def run(way: future.Branch, kept: results.RunFolder) -> dict[str, Any]:
        seed = way.scenario.run.seed
        return Experiment(way.scenario, seed, kept, folder=path.parent).run()

    code = _run_all(out, ways, run, path.parent, chosen.jobs)
    print(sweep.told(sweep.estimates(sweep.load(out))))
    print(f"results in {out}; `report {out}` draws them")
    return code


def _folder_of_runs(chosen: argparse.Namespace, name: str, ways: Sequence[future.Branch]) -> Path:
    kind = "sweep" if chosen.do is _sweep else "branches"
    out: Path = chosen.out or results.free_folder(Path("runs") / f"{name}-{kind}")
    sweep.write_plan(out, ways)
    return out


def _run_all(
    out: Path,
    ways: Sequence[future.Branch],
    run: Callable[[future.Branch, results.RunFolder], dict[str, Any]],
    source: Path,
    jobs: int,
) -> int:
    """Each way in a process and a folder of its own; the worst exit code."""

    def one(number: int) -> int:
        way, folder = ways[number], out / sweep.folder_of(number)
        with results.RunFolder(folder, way.scenario, way.scenario.run.seed, source) as kept:
            summary = run(way, kept)
        end = "interrupted" if summary["interrupted"] else f"trace sha256 {summary['trace_sha256']}"
        print(f"{folder}  {' '.join(way.settings)}  {end}")
        return _exit_code(summary)

    return max(future.fork_each(len(ways), one, jobs))


def _execute(scenario: Scenario, out: Path, folder: Path, *, with_lines: bool) -> dict[str, Any]:
    with _progress() as progress, contextlib.ExitStack() as files:
        experiment = Experiment(scenario, scenario.run.seed, None, folder=folder, progress=progress)
        kept = results.RunFolder(out, scenario, scenario.run.seed, folder)
        experiment.recorder.write_to(files.enter_context(kept))
        if with_lines:
            experiment.trace.lines = files.enter_context((out / "trace.txt").open("w"))
        return experiment.run()


@contextlib.contextmanager
def _progress() -> Iterator[Bar | None]:
    """A bar if somebody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = Bar(sys.stderr)
    try:
        yield bar
    finally:
        bar.close()


def _find(name: str) -> Path:
    """A file, a run's folder, else one of the scenarios at hand."""
    path = Path(name)
    if results.holds_run(path):
        return path / "scenario.json"
    known = SCENARIOS / f"{name}.toml"
    if not path.exists() and known.exists():
        return known
    return path


def _short(summary: dict[str, Any]) -> dict[str, Any]:
    """What fits a terminal."""
    keys = (
        "nodes", "virtual_s", "messages", "messages_by_kind", "wall_s", "cpu_s",
        "cpu_us_per_message", "begin_cpu_s", "begin_rss_bytes", "rss_bytes", "violations",
    )  # fmt: skip
    found: dict[str, Any] = {key: _rounded(summary[key]) for key in keys if key in summary}
    for kind, one in summary["operations"].items():
        latency = one["latency_s"]
        found[kind] = {
            "count": one["count"],
            "ok_share": _rounded(one["ok_share"]),
            "latency_s": {q: _rounded(latency[q]) for q in ("p50", "p95") if q in latency},
            "errors": one["errors"],
        }
    return found


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _verdicts(summary: dict[str, Any]) -> str:
    """A line for each checker."""
    lines = [f"checked {summary['looks_of_checkers']} times:"]
    for name, one in summary["checkers"].items():
        found = f"{one['violations']} violations" if one["violations"] else "holds"
        lines.append(f"  {name}: {found}; does not check {one['does_not_check']}")
    return "\n".join(lines)


def _list(chosen: argparse.Namespace) -> int:
    for path in sorted(SCENARIOS.glob("*.toml")):
        run = tomllib.loads(path.read_text())["run"]
        print(
            f"{path.stem:12} {run['nodes']:>6} nodes {run['duration_s']:>6}  {run['description']}"
        )
    return 0


def _replay(chosen: argparse.Namespace) -> int:
    scenario, faults, before = _kept(chosen.folder)
    with _progress() as progress:
        experiment = Experiment(
            scenario, before["seed"], None, folder=chosen.folder, faults=faults, progress=progress
        )
        now = {"git_sha": results.git_sha(), **experiment.run()}
    if now["interrupted"]:
        return _INTERRUPTED
    for when, which in (("before", before), ("now   ", now)):
        print(f"{when} {which['trace_sha256']}  commit {which['git_sha']}")
    for violation in now["violations"]:
        print(f"violation: {violation}")
    same = now["trace_sha256"] == before["trace_sha256"]
    print("the same trace" if same else "another trace: the code differs")
    return 0 if same and not now["violations"] else 1


def _kept(folder: Path) -> tuple[Scenario, list[Fault] | None, dict[str, Any]]:
    try:
        run = results.load(folder)
        if run.summary.get("interrupted", True):
            raise ValueError("the run was interrupted; `run` it again from its folder")
        kept = folder / explore.FAULTS
        faults = [Fault.of(v) for v in json.loads(kept.read_text())] if kept.exists() else None
        return from_tables(run.scenario), faults, dict(run.summary)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScenarioError(f"{folder} cannot be replayed: {error}") from error


def _compare(chosen: argparse.Namespace) -> int:
    one, other = (results.load(folder) for folder in chosen.folders)
    differences = results.compare(one, other)
    print("\n".join(differences) or "the same world")
    return 1 if differences else 0


def _report(chosen: argparse.Namespace) -> int:
    try:
        from simulations.report import page as report  # matplotlib takes a second to import
    except ModuleNotFoundError as error:
        raise ScenarioError(f"{error}; pip install 'dhtstore[simulations]' has it") from error

    try:
        if sweep.is_sweep(chosen.folder):
            print(report.write_sweep(sweep.load(chosen.folder)))
        else:
            print(report.write(results.load(chosen.folder)))
    except OSError as error:
        raise ScenarioError(f"cannot write to {chosen.folder}: {error}") from error
    return 0


def _validate(chosen: argparse.Namespace) -> int:
    if chosen.live is not None:
        found = _live(chosen)
    elif chosen.churn:
        found = uptime.validate(chosen.nodes, chosen.seed)
        print(f"{chosen.nodes} nodes for {uptime.WATCHED_S / 86_400:.0f} days, seed {chosen.seed}")
    else:
        found = validation.validate(chosen.nodes, chosen.lookups, chosen.seed)
        print(f"{chosen.nodes} nodes, {chosen.lookups} lookups each way, seed {chosen.seed}")
    print(findings.table_of(found))
    return 0 if all(finding.holds for finding in found) else 1


def _live(chosen: argparse.Namespace) -> list[findings.Finding]:
    try:
        lived_s = units.seconds(chosen.live)
    except ValueError as error:
        raise ScenarioError(f"--live: {error}") from error
    with _progress() as progress:
        survey = health.live(chosen.nodes, lived_s, chosen.seed, progress)
    print(f"{survey.nodes} nodes up after {chosen.live}, {len(survey.tables)} of them surveyed, ")
    print(f"seed {chosen.seed}; {survey.messages_per_node_s:.3f} datagrams a node and second")
    print(health.buckets_of(survey))
    return health.findings(survey)


def _explore(chosen: argparse.Namespace) -> int:
    deadline = time.monotonic() + 60 * chosen.minutes
    found = done = 0
    seed = chosen.first_seed
    while done < chosen.seeds if chosen.seeds else time.monotonic() < deadline:
        failure = explore.try_seed(seed)
        done, seed = done + 1, seed + 1
        if failure is not None:
            found += 1
            folder = explore.keep(explore.shrink(failure), chosen.out)
            print(f"seed {failure.seed}: {failure.what}\n  python -m simulations replay {folder}")
        elif sys.stderr.isatty():
            print(f"\r{done} worlds, {found} failures", end="", file=sys.stderr, flush=True)
    print(f"{done} worlds from seed {chosen.first_seed}, {found} failures")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
