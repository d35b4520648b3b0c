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
    """List what was put from here: name, CID, size, date, copies.

    Copies, of those wanted, are those that a holder signed for, or was found to have, and that were
    not found lost since; beside them is when that was last proved of all of them.  With --check all
    holders are asked first, which needs the network; exit code 7 then means that a put has fewer
    copies than it must, 4 that one could not be checked.
    """
    from dhtstore.cli.running.session import show
    from dhtstore.cli.terminal.rows import rows_out
    from dhtstore.cli.terminal.show import moment
    from dhtstore.config import format_size
    from dhtstore.errors import QuorumNotReached, Unreachable, UsageError
    from dhtstore.operations.keeping import CheckPuts, ListPuts

    if common.timeout and not check:
        raise UsageError("--timeout says nothing without --check: a list is there at once")

    def cells(row: PutSummary) -> Sequence[object]:
        return (
            row.name,
            row.cid,
            format_size(row.size),
            moment(row.created),
            f"{row.copies}/{row.replicas}",
            moment(row.proved),
            f"expires {moment(row.expires)}",
        )

    headers = ("name", "cid", "size", "date", "copies", "last proved", "policy")
    out = rows_out(common, headers, cells, "nothing was put from here")
    try:
        show(common, CheckPuts() if check else ListPuts(), out)
    except (QuorumNotReached, Unreachable):
        out.end()  # all rows came: what is wrong is in them
        raise
