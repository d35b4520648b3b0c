"""list: what was put from here."""

from __future__ import annotations

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import ABOUT_HOME


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
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import moment, print_json, print_table
    from dhtstore.config import format_size
    from dhtstore.operations.keeping import ListPuts

    rows = ask(common, ListPuts())
    if common.json:
        print_json(rows)
        return
    cells = [
        (
            row.name,
            row.cid,
            format_size(row.size),
            moment(row.created),
            f"{row.copies}/{row.replicas}",
            f"expires {moment(row.expires)}",
        )
        for row in rows
    ]
    print_table(cells, ("name", "cid", "size", "date", "copies", "policy"))
