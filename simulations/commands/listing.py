"""``list``: the scenarios at hand."""

from __future__ import annotations

import argparse
import tomllib

from simulations.commands.common import SCENARIOS, Subparsers


def add(commands: Subparsers) -> None:
    command = commands.add_parser("list", help="the scenarios at hand")
    command.set_defaults(do=_list)


def _list(chosen: argparse.Namespace) -> int:
    for path in sorted(SCENARIOS.glob("*.toml")):
        run = tomllib.loads(path.read_text(encoding="utf-8"))["run"]
        print(
            f"{path.stem:12} {run['nodes']:>6} nodes {run['duration_s']:>6}  {run['description']}"
        )
    return 0
