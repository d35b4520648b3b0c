"""list: what was put from here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import WAITING, CheckNow

if TYPE_CHECKING:
    from dhtstore.operations.keeping import PutSummary


@command(
    WAITING,
    examples=(
        "dhtstore list",
        "dhtstore list --json",
        "dhtstore list --check",
    ),
)
def list_puts(common: Common, check: CheckNow = False) -> None:
    """List what was put from here, and how safe it is.

    Safe is what has as many copies as were asked for, by holders of whom none is silent and that
    proved them within eight days.  A node that gives storage watches the holders of what it put; on
    another one a list knows receipts and what was last checked.  With --check all holders are asked
    first, which needs the network; exit code 7 then means that a put has fewer copies than it must,
    4 that one could not be checked.
    """
    from dhtstore.cli.running.session import show
    from dhtstore.cli.terminal.rows import rows_out
    from dhtstore.cli.terminal.show import moment
    from dhtstore.cli.terminal.words import safety_text
    from dhtstore.config import format_size
    from dhtstore.errors import QuorumNotReached, Unreachable, UsageError
    from dhtstore.net.clock import SystemClock
    from dhtstore.operations.keeping import CheckPuts, ListPuts

    if common.timeout and not check:
        raise UsageError("--timeout says nothing without --check: a list is there at once")

    now_unix_s = SystemClock().unix_s()

    def cells(row: PutSummary) -> Sequence[object]:
        return (
            row.name,
            row.cid,
            format_size(row.size),
            moment(row.created),
            f"expires {moment(row.expires)}",
            safety_text(row, now_unix_s),
        )

    headers = ("name", "cid", "size", "date", "policy", "how safe")
    out = rows_out(common, headers, cells, "nothing was put from here")
    try:
        show(common, CheckPuts() if check else ListPuts(), out)
    except (QuorumNotReached, Unreachable):
        out.end()  # all rows came: what is wrong is in them
        raise
