"""``compare`` and ``report``: runs that are done, beside each other and drawn."""

from __future__ import annotations

import argparse
from pathlib import Path

from simulations.commands.common import Subparsers, run_of
from simulations.errors import ScenarioError, unwritable
from simulations.lab.many_runs import plan, sweep
from simulations.results import comparison, run_data
from simulations.results.tables import parquet_beside


def add(commands: Subparsers) -> None:
    comparison = commands.add_parser("compare", help="where two runs differ")
    comparison.add_argument(
        "folders", type=Path, nargs=2, metavar="FOLDER", help="what two runs have left"
    )
    comparison.set_defaults(do=_compare)
    report = commands.add_parser("report", help="draw report.html and PNG files of a run or sweep")
    report.add_argument("folder", type=Path, help="what a run or a sweep has left")
    report.set_defaults(do=_report)


def _compare(chosen: argparse.Namespace) -> int:
    one, other = (run_data.load(run_of(folder)) for folder in chosen.folders)
    differences = comparison.compare(one, other)
    print("\n".join(differences) or "the same world")
    return 1 if differences else 0


def _report(chosen: argparse.Namespace) -> int:
    try:
        from simulations.report import page as report  # matplotlib takes a second to import
    except ModuleNotFoundError as error:
        raise ScenarioError(f"{error}; pip install 'dhtstore[simulations]' has it") from error

    try:
        if plan.is_sweep(chosen.folder):
            print(report.write_sweep(sweep.load(chosen.folder)))
        else:
            run = run_data.load(chosen.folder)
            parquet_beside(chosen.folder)
            print(report.write(run))
    except OSError as error:
        raise unwritable(chosen.folder, error) from error
    return 0
