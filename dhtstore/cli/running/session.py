"""One operation asked of a node: of the one that runs here, or with --seed of one that lives for
it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from dhtstore.api.homes import home_path, socket_path
from dhtstore.cli.running.errand import Errand
from dhtstore.cli.terminal.common import Common
from dhtstore.cli.terminal.options import DEFAULT_LOG_LEVEL, LOG_FORMATS
from dhtstore.cli.terminal.rows import RowsOut
from dhtstore.errors import NoNodeHere, NotRunning, UsageError
from dhtstore.model.cid_path import check_spelling
from dhtstore.net.local.client import converse
from dhtstore.operations.conversation import Conversation
from dhtstore.operations.operation import Operation

R = TypeVar("R")


def ask(common: Common, operation: Operation[R]) -> R:
    """The result of a short operation; raises as ``run`` does."""
    return run(common, Errand(operation))


def show(common: Common, operation: Operation[list[R]], out: RowsOut) -> None:
    """Print a list as it comes; raises as ``run`` does."""
    run(common, Errand(operation, rows=out.add))
    out.end()


def run(common: Common, errand: Errand[R]) -> R:
    """The result, without a node of what lies in the data directory; raises what the node raised,
    or NotRunning."""
    if common.seeds:
        from dhtstore.cli.running.alone import run_alone

        return run_alone(common, errand)
    _check_seedless(common)
    conversation = Conversation(errand.operation, common.timeout_s, errand.watch)
    home = home_path(common.home)
    try:
        return _asked(common, home, conversation, errand)
    except NotRunning as error:
        # nobody here can say what a name stands for, but no name looks like this
        check_spelling(getattr(errand.operation, errand.operation.about, ""))
        visitable = errand.operation.needs_node and not getattr(errand.operation, "pin", False)
        if common.seedable and visitable and "hint" not in vars(error):
            error.hinted("start one with `dhtstore join`, or use --seed TICKET to run without one")
        raise


def _check_seedless(common: Common) -> None:
    """Raises UsageError for what only a node of this command's own would heed."""
    if common.network:
        raise UsageError("--network says nothing without --seed").hinted(
            "a node that runs is in the network it joined: leave --network away, or give --seed"
        )
    logs = (common.log_level != DEFAULT_LOG_LEVEL, common.log_format != LOG_FORMATS[0])
    if any(logs):
        option = "--log-level" if logs[0] else "--log-format"
        raise UsageError(f"{option} says nothing without --seed").hinted(
            "a node logs where it runs: `dhtstore join --log-level LEVEL`"
        )


def _asked(common: Common, home: Path, conversation: Conversation[R], errand: Errand[R]) -> R:
    """Of the node that runs, else of the data directory."""
    try:
        return converse(
            socket_path(home), conversation, errand.descriptors, errand.sent, errand.rows
        )
    except NoNodeHere:
        if errand.operation.needs_node:
            raise
    import asyncio

    from dhtstore.api.offline import read_kept

    found = asyncio.run(read_kept(home, errand.operation, errand.watch, common.timeout_s))
    if errand.rows is not None and isinstance(found, list) and found:
        errand.rows(found)
    return found
