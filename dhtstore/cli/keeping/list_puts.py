"""list: what was put from here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import ABOUT_HOME, CheckNow

if TYPE_CHECKING:
    from dhtstore.operations.keeping import PutSummary


@command(
    ABOUT_HOME,
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
    holders are asked first, one put after the other, which needs the network.
    """
    from dhtstore.cli.running.session import show
    from dhtstore.cli.terminal.rows import rows_out
    from dhtstore.cli.terminal.show import moment
    from dhtstore.config import format_size
    from dhtstore.operations.keeping import ListPuts

    if check:
        _check_all(common)

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

    out = rows_out(
        common, ("name", "cid", "size", "date", "copies", "last proved", "policy"), cells
    )
    show(common, ListPuts(), out)


def _check_all(common: Common) -> None:
    """What holders say is written down, for the list."""
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import say
    from dhtstore.errors import NotFound, Unreachable
    from dhtstore.operations.keeping import ListPuts
    from dhtstore.operations.nodes import DescribeRoot

    for put in ask(common, ListPuts()):
        try:
            ask(common, DescribeRoot(root=put.cid, check=True))
        except (NotFound, Unreachable) as error:
            say(common, f"{put.cid} could not be checked: {error}")
