"""list: what was put from here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import ABOUT_HOME

if TYPE_CHECKING:
    from dhtstore.operations.keeping import PutSummary


@command(
    ABOUT_HOME,
    examples=(
        "dhtstore list",
        "dhtstore list --json",
    ),
)
def list_puts(common: Common) -> None:
    """List what was put from here: name, CID, size, date, copies.

    Copies are those that gave a receipt, of those wanted.
    """
    from dhtstore.cli.running.session import show
    from dhtstore.cli.terminal.rows import rows_out
    from dhtstore.cli.terminal.show import moment
    from dhtstore.config import format_size
    from dhtstore.operations.keeping import ListPuts

    def cells(row: PutSummary) -> Sequence[object]:
        return (
            row.name,
            row.cid,
            format_size(row.size),
            moment(row.created),
            f"{row.copies}/{row.replicas}",
            f"expires {moment(row.expires)}",
        )

    out = rows_out(common, ("name", "cid", "size", "date", "copies", "policy"), cells)
    show(common, ListPuts(), out)
