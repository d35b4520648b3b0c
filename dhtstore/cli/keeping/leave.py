"""leave: bring everything that is held here to others, then end the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import WAITING
from dhtstore.cli.terminal.progress.options import Showing, Shown, Verbose

if TYPE_CHECKING:
    from dhtstore.operations.repairing import LeaveResult, RepairedUnit


@command(WAITING, examples=("dhtstore leave", "dhtstore leave --cancel"))
def leave(
    common: Common,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stay after all.")] = False,
    progress: Showing = Shown.AUTO,
    verbose: Verbose = False,
) -> None:
    """Bring all that this node holds to other nodes, then end it.

    A copy here goes only when as many others as its owner asked for have proved theirs, so there
    is never one too few.  From its beginning the node takes nothing from others.  Cut short, the
    same command goes on with it, also after a restart; --cancel lets the node stay.  Exit code 7 if
    nobody takes a part of it: the node runs on then, and still gives it to whoever asks.
    """
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.progress.sentences import kept_of_leave
    from dhtstore.cli.terminal.progress.watching import watching
    from dhtstore.cli.terminal.show import print_json
    from dhtstore.operations.repairing import LeaveNetwork

    with watching(common, progress, verbose, kept_of_leave) as watch:
        found = run(common, Errand(LeaveNetwork(cancel=cancel), watch=watch))
    if common.json:
        print_json(found)
    else:
        _print(found, cancel=cancel)
    if found.units:
        raise _nobody_takes(found)


def _print(found: LeaveResult, *, cancel: bool) -> None:
    from dhtstore.cli.terminal.show import emit
    from dhtstore.config import counted, format_size

    if cancel:
        emit("this node stays" if found.cancelled else "this node was not leaving, and stays")
        return
    for each in found.units:
        emit(left_text(each))
    if found.more:
        emit(f"and {counted(found.more, 'other unit')}")
    if found.made or found.left:
        copies = counted(found.made, "copy", "copies")
        emit(f"{copies} made elsewhere, {format_size(found.sent)} sent")
    if found.left:
        emit("all that was held here is with others; this node ends")


def left_text(each: RepairedUnit) -> str:
    """Why a unit cannot go."""
    from dhtstore.cli.keeping.repair import unit_words

    return f"{unit_words(each)}: {each.why}"


def _nobody_takes(found: LeaveResult) -> Exception:
    from dhtstore.config import counted
    from dhtstore.errors import QuorumNotReached

    first = found.units[0]
    units = counted(len(found.units) + found.more, "unit")
    return QuorumNotReached(
        f"{units} of {found.looked} would have too few copies without this node, so it runs on",
        copies=first.copies,
        replicas=first.replicas,
        min_acks=first.replicas,
        partial=found,
    ).hinted(
        "it is still leaving, and takes nothing from others: let other storage nodes join, or give"
        " them more room, and leave again; `dhtstore leave --cancel` lets this node stay"
    )
