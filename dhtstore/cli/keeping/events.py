"""events: what happened to copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import WAITING

if TYPE_CHECKING:
    from dhtstore.operations.repairing import CopyEvent


@command(
    WAITING,
    examples=(
        "dhtstore events",
        "dhtstore events --since 2d",
        "dhtstore events --last 1000 --json",
    ),
)
def events(
    common: Common,
    last: Annotated[
        int, typer.Option("--last", metavar="N", help="How many of them.", show_default="100")
    ] = 100,
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="TIME", help="Of the last 2h or 7d.", show_default="from the first"
        ),
    ] = "",
) -> None:
    """Tell what happened to copies of what this node holds.

    lost: a holder was silent beyond its grace, or failed an audit, and was replaced; repaired: a
    copy was made from here; moved: one was made elsewhere in its place; refused: nobody
    took one; dropped: the copy here was one too many; removed: what was put here was removed
    elsewhere by its owner.  The oldest come first; the last 10,000 are kept.
    """
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.common import printable
    from dhtstore.cli.terminal.show import emit, emit_lines, print_json
    from dhtstore.operations.repairing import ListEvents

    since_s = _seconds(since)
    found = run(common, Errand(ListEvents(last=last, since_s=since_s)))
    if common.json:
        print_json(found)
        return
    emit_lines(printable(event_text(each)) for each in found)
    if not found:
        emit(nothing_text(since_s))


def nothing_text(since_s: float | None) -> str:
    """Where there are no events."""
    from dhtstore.config import format_duration

    if since_s is None:
        return "nothing happened to copies yet"
    return f"nothing happened to copies in the last {format_duration(since_s)}"


def event_text(each: CopyEvent) -> str:
    """When, what, to which object, and why: on one line."""
    from dhtstore.cli.terminal.show import moment

    object_ = each.name or each.root
    part = f" (unit {each.unit})" if each.unit != each.root else ""
    because = "; before that: " if each.kind == "repaired" else ": "
    return f"{moment(each.time)} {each.kind} {object_}{part}: {_what(each)}{because}{each.why}"


def _what(each: CopyEvent) -> str:
    from dhtstore.config import format_size

    size = f" ({format_size(each.size)})" if each.size else ""
    match each.kind:
        case "lost":
            return f"the copy at {each.node} counts no more"
        case "repaired":
            return f"a copy was made at {each.node}{size}"
        case "moved":
            return f"the copy here moves to {each.node}{size}"
        case "dropped":
            return f"the copy here went, since it was one too many{size}"
        case "removed":
            return "no copy is wanted any more"
    return "nobody took a copy"


def _seconds(since: str) -> float | None:
    """Raises UsageError."""
    from dhtstore.config import parse_duration_with_unit
    from dhtstore.errors import UsageError

    try:
        return parse_duration_with_unit(since) if since else None
    except ValueError as error:
        raise UsageError(f"--since: {error}").hinted("say how long ago, as 2h or 7d") from error
