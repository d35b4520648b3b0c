"""ls: the names in a directory."""

from __future__ import annotations

from dhtstore.cli.naming.arguments import Content
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING


@command(
    VISITING,
    examples=(
        "dhtstore ls bafybei...",
        "dhtstore ls bafybei.../2024 --json",
    ),
)
def ls(common: Common, cid: Content) -> None:
    """List a directory: CID, size, type and name of each entry.

    Size is the content of a file; that of a directory is not known without a walk through it.
    """
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import print_json, print_table
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.content import ListDirectory

    rows = ask(common, ListDirectory(target=as_one_spelling(cid)))
    if common.json:
        print_json(rows)
        return
    cells = [(row.cid, row.size, row.type, row.name) for row in rows]
    print_table(cells, ("cid", "size", "type", "name"))
