"""repair: make missing copies now, or tell what is planned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import WAITING

if TYPE_CHECKING:
    from dhtstore.operations.repairing import RepairedUnit, RepairResult


@command(WAITING, examples=("dhtstore repair --dry-run", "dhtstore repair"))
def repair(
    common: Common,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only tell what is planned, and why.")
    ] = False,
) -> None:
    """Make the copies now that are missing of what this node holds.

    A node does so by itself, once a holder has been silent for longer than its absences of before
    let expect, within the budget of a day (`config repair_budget`).  This asks all holders afresh
    and waits for nobody: who does not answer now is replaced.  --dry-run tells what the node is
    about to do by itself, and asks nobody.
    """
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.progress.sentences import kept_of_repair
    from dhtstore.cli.terminal.progress.watching import interrupted
    from dhtstore.cli.terminal.show import print_json
    from dhtstore.operations.repairing import RepairCopies

    with interrupted(common, kept_of_repair):
        found = run(common, Errand(RepairCopies(dry_run=dry_run)))
    if common.json:
        print_json(found)
    else:
        _print(found)


def _print(found: RepairResult) -> None:
    from dhtstore.cli.terminal.show import emit
    from dhtstore.config import counted, format_size

    for each in found.units:
        emit(repair_text(each, dry_run=found.dry_run))
    if found.more:
        emit(f"and {counted(found.more, 'other unit')}")
    units = counted(found.looked, "unit")
    rest = "nothing to do" if not found.units else f"{len(found.units) + found.more} told above"
    emit(f"{units} looked at, {rest}")
    spent, budget = format_size(found.spent), format_size(found.budget)
    emit(f"{spent} sent for repairs today, of {budget} that they may")


def repair_text(each: RepairedUnit, *, dry_run: bool) -> str:
    """What is to be done about a unit, or was done."""
    if dry_run:
        return f"{unit_words(each)}: {_WORDS[each.act]}: {each.why}"
    before = "; before that: " if each.made else ": "
    return f"{unit_words(each)}: {_done(each.act, each.made)}{before}{each.why}"


def unit_words(each: RepairedUnit) -> str:
    """What it is, as `events` and `list` call it."""
    part = f" (unit {each.unit})" if each.unit != each.root else ""
    return f"{each.name or each.root}{part}"


_WORDS = {
    "repair": "to be repaired",
    "wait": "waits",
    "drop": "goes",
    "move": "to be moved",
    "nothing": "stays",
}


def _done(act: str, made: int) -> str:
    from dhtstore.config import counted

    if act == "repair":
        return f"{counted(made, 'copy', 'copies')} made" if made else "no copy made"
    return "dropped" if act == "drop" else "waits"
