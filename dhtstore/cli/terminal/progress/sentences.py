"""What is left of an operation that was cut short, and how to go on."""

from __future__ import annotations

import os

from dhtstore.config import counted, format_size
from dhtstore.operations.operation import Progress

_ON = "the same command goes on from there"


def kept_of_get(progress: Progress | None, partial: str) -> str:
    """``partial`` is the file or directory that the next run finds."""
    if progress is None and os.path.lexists(partial):
        return f"what was fetched before stays in {partial}; {_ON}"
    if progress is None or not progress.done_bytes:
        return "nothing is kept of what was fetched so far; the same command begins anew"
    return f"kept {_amount(progress)} in {partial}; {_ON}"


def kept_of_stream(progress: Progress | None) -> str:
    """What was written is where it was written to."""
    return "nothing is kept here of a stream; the same command begins anew"


def kept_of_export(progress: Progress | None) -> str:
    return "nothing is left of it; the same command begins anew"


def kept_of_import(progress: Progress | None) -> str:
    """What nothing names is collected."""
    return "nothing of it is kept; the same command begins anew"


def kept_of_put(progress: Progress | None) -> str:
    """Of a put nothing is announced under a name before there are copies."""
    if progress is None:
        return "interrupted; the same command stores what is missing"
    if progress.holders:
        who = counted(progress.holders, "node has", "nodes have")
        return (
            f"{who} signed for copies, of all or a part; the same command makes those that are"
            " missing"
        )
    if not progress.done_bytes:
        return "nothing is stored yet; the same command begins anew"
    return (
        f"kept {_amount(progress)} in the store here, no copies elsewhere yet; the same command"
        " reads again and stores what is missing"
    )


def kept_of_pin(progress: Progress | None) -> str:
    if progress is None or not progress.done_bytes:
        return "nothing is kept of what was fetched so far; the same command begins anew"
    return f"kept {_amount(progress)} in the store here, not pinned yet; {_ON}"


def kept_of_verify(progress: Progress | None) -> str:
    if progress is None or not progress.done_bytes:
        return "interrupted; the same command begins anew"
    return f"{_amount(progress)} verified; {_ON}"


def kept_of_collect(progress: Progress | None) -> str:
    """What was removed is removed."""
    return "interrupted; what was removed stays removed, and the same command removes the rest"


def kept_of_repair(progress: Progress | None) -> str:
    """Each copy counts by itself."""
    return "interrupted; copies that were made stay, and the same command makes the rest"


def kept_of_removal(progress: Progress | None) -> str:
    """Once it is over here, the node tells all others whoever waits for that."""
    return (
        "interrupted; if `dhtstore list` names it no more it is removed, and this node goes on"
        " telling its holders; else the same command removes it"
    )


def kept_of_policy(progress: Progress | None) -> str:
    return (
        "interrupted; `dhtstore policy` shows what counts: a change that does already, this node"
        " goes on telling its holders"
    )


def _amount(progress: Progress) -> str:
    kept = format_size(progress.done_bytes)
    return f"{kept} of {format_size(progress.total_bytes)}" if progress.total_bytes else kept


def kept_of_leave(progress: Progress | None) -> str:
    return f"this node is still leaving; {_ON}, `dhtstore leave --cancel` lets it stay"
