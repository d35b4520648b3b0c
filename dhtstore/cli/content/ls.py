"""ls: the names in a directory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.naming.arguments import Content
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING

if TYPE_CHECKING:
    from dhtstore.operations.content import DirectoryEntry


@command(
    VISITING,
    examples=(
        "dhtstore ls bafybei...",
        "dhtstore ls bafybei.../2024 --json",
    ),
)
def ls(
    common: Common,
    cid: Content,
    sort: Annotated[bool, typer.Option("--sort", help="By name, once all are known.")] = False,
) -> None:
    """List a directory: CID, size, type and name of each entry.

    Size is the content of a file; that of a directory is not known without a walk through it.
    Names are printed as they come, in the directory's own order: sorted, and in one of thousands
    of names, which is stored in many blocks, by their hashes.
    """
    from dhtstore.cli.running.session import ask, show
    from dhtstore.cli.terminal.rows import rows_out
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.content import ListDirectory

    operation = ListDirectory(target=as_one_spelling(cid))
    out = rows_out(common, ("cid", "size", "type", "name"), _cells)
    if not sort:
        show(common, operation, out)
        return
    rows = ask(common, operation)
    if rows:
        out.add(sorted(rows, key=lambda row: row.name.encode()))
    out.end()


def _cells(row: DirectoryEntry) -> Sequence[object]:
    return row.cid, row.size, row.type, row.name
