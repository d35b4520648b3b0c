"""Options that choose among the exchanges of a run."""

from __future__ import annotations

import argparse
import math

from simulations import units
from simulations.errors import ScenarioError
from simulations.messages.selection import Selection


def selection_options(command: argparse.ArgumentParser) -> None:
    """Which messages are told; all that are given must hold."""
    group = command.add_argument_group("which messages", "all that are given must hold")
    group.add_argument("--node", type=int, metavar="N", help="asked by or of node N")
    group.add_argument("--source", type=int, metavar="N", help="asked by node N")
    group.add_argument("--target", type=int, metavar="N", help="asked of node N")
    group.add_argument(
        "--kind",
        action="append",
        default=[],
        help="find_node, GetBlocks, dial ...; may be repeated",
    )
    group.add_argument("--about", default="", metavar="START", help="of a key in hex, or of a CID")
    group.add_argument(
        "--after",
        default="0 s",
        metavar="TIME",
        help="asked then or later, by the times of operations.csv",
    )
    group.add_argument("--before", metavar="TIME", help="asked before that")
    group.add_argument("--failed", action="store_true", help="only what failed")


def selection_of(chosen: argparse.Namespace) -> Selection:
    """What was chosen; raises ScenarioError for what is no time."""
    after_s = _seconds("--after", chosen.after)
    before_s = _seconds("--before", chosen.before) if chosen.before is not None else math.inf
    if after_s >= before_s:
        raise ScenarioError(f"--before {chosen.before} is not later than --after {chosen.after}")
    return Selection(
        chosen.node,
        chosen.source,
        chosen.target,
        tuple(chosen.kind),
        chosen.about.lower(),
        after_s,
        before_s,
        chosen.failed,
    )


def _seconds(option: str, spelled: str) -> float:
    try:
        return units.seconds(spelled)
    except ValueError as error:
        raise ScenarioError(f"{option}: {error}") from error
