"""``run``: one run of a scenario, into a folder of its own."""

from __future__ import annotations

import argparse
import contextlib
import json
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from simulations.commands.common import (
    Subparsers,
    asked_told,
    exit_code,
    load_chosen,
    new_folder,
    progress_bar,
    scenario_options,
    service_told,
)
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.watching import watched
from simulations.messages.selection import Selection
from simulations.messages.table import Count, chosen_of, csv_rows
from simulations.results import run_folder
from simulations.results.rows import MESSAGES_FILE, TRACE_FILE
from simulations.results.summary import nobody_attacked, not_reached
from simulations.scenario import Scenario


def add(commands: Subparsers) -> None:
    command = commands.add_parser("run", help="run a scenario")
    scenario_options(command, seed="instead of run.seed")
    command.add_argument(
        "--out", type=new_folder, help="a new folder for the results (default runs/NAME-SEED)"
    )
    command.add_argument(
        "--trace", action="store_true", help=f"write {TRACE_FILE}, a line an entry"
    )
    command.add_argument(
        "--messages", action="store_true", help=f"write {MESSAGES_FILE}: who asked whom what"
    )
    command.set_defaults(do=_run)


def _run(chosen: argparse.Namespace) -> int:
    scenario, path = load_chosen(chosen)
    name = scenario.run.scenario or path.stem
    out = chosen.out or run_folder.free_folder(Path("runs") / f"{name}-{scenario.run.seed}")
    summary = _execute(scenario, out, path.parent, chosen)
    print(json.dumps(_short(summary), indent=2))
    print(_verdicts(summary))
    if summary["interrupted"]:
        print("interrupted: all of this is of what there was until then")
    if summary["failed"]:
        print(f"the run failed: {summary['failed']}")
    for why in filter(None, (nobody_attacked(summary), not_reached(summary))):
        print(why)
    for line in summary["halves_differ"]:
        print(f"the halves of this run differ: {line}")
    for line in (service_told(summary, chosen.scenario), *asked_told(summary)):
        print(line)
    print(f"results in {out}; trace sha256 {summary['trace_sha256']}")
    return exit_code(summary)


def _execute(
    scenario: Scenario, out: Path, folder: Path, chosen: argparse.Namespace
) -> dict[str, Any]:
    with progress_bar() as progress, contextlib.ExitStack() as files:
        experiment = Experiment(scenario, scenario.run.seed, None, folder=folder, progress=progress)
        kept = run_folder.RunFolder(out, scenario, scenario.run.seed, folder)
        experiment.recorder.write_to(files.enter_context(kept))
        if chosen.trace:
            experiment.trace.lines = files.enter_context(_open(out / TRACE_FILE))
        if chosen.messages:
            file = files.enter_context(_open(out / MESSAGES_FILE))
            teller = partial(chosen_of, csv_rows(file), Selection(), Count())
            files.enter_context(watched(experiment, teller))
        return experiment.run()


def _open(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8")


def _short(summary: dict[str, Any]) -> dict[str, Any]:
    """What fits a terminal."""
    keys = (
        "nodes", "virtual_s", "messages", "messages_by_kind", "wall_s", "cpu_s",
        "cpu_us_per_message", "begin_cpu_s", "begin_rss_bytes", "rss_bytes", "violations",
    )  # fmt: skip
    found: dict[str, Any] = {key: _rounded(summary[key]) for key in keys if key in summary}
    found |= {"failed": summary["failed"]} if summary["failed"] else {}
    for measure, one in summary["measures"].items():
        values = {label: _rounded(value) for label, value in one["values"].items()}
        found[measure] = values.get("", values)
    groups = {"": summary["operations"], **summary["operations_by_group"]}
    for group, operations in groups.items():
        for kind, one in operations.items():
            found[f"{group} {kind}".strip()] = _told(one)
    if "attack" in summary:
        measures = summary["attack"]["measures"]
        told = {name: _rounded(value) for name, value in measures.items()}
        found["attack"] = {"adversaries": summary["attack"]["adversaries"], **told}
    return found


def _told(one: dict[str, Any]) -> dict[str, Any]:
    latency = one["latency_s"]
    return {
        "count": one["count"],
        "ok_share": _rounded(one["ok_share"]),
        "served_share": _rounded(one["served_share"]),
        "latency_s": {q: _rounded(latency[q]) for q in ("p50", "p95") if q in latency},
        "errors": one["errors"],
    }


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _verdicts(summary: dict[str, Any]) -> str:
    """A line for those that hold, and one for each that found something."""
    checkers = summary["checkers"]
    found = {name: one["violations"] for name, one in checkers.items() if one["violations"]}
    lines = [
        f"{len(checkers) - len(found)} of {len(checkers)} checkers hold, after "
        f"{summary['looks_of_checkers']} looks (what each does not check: summary.json)"
    ]
    lines += [f"  {name}: {count} violations" for name, count in found.items()]
    return "\n".join(lines)
