"""receipts: the holders' signed word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.naming.arguments import Root
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import ABOUT_HOME

if TYPE_CHECKING:
    from dhtstore.operations.keeping import SignedReceipt

OfFile = Annotated[
    str,
    typer.Argument(
        metavar="[FILE]",
        help="After the word verify: what --json has written, or - for standard input.",
        show_default=False,
    ),
]


@command(
    ABOUT_HOME,
    examples=(
        "dhtstore receipts bafybei...",
        "dhtstore receipts bafybei... --json > kept.json",
        "dhtstore receipts verify kept.json",
    ),
)
def receipts(common: Common, cid: Root, file: OfFile = "") -> None:
    """Show and verify the receipts for something put from here.

    Beside each stands what is known since of who signed: that it is gone, or lacks it.

    `receipts verify FILE` verifies those that `receipts CID --json`, or `put --json`, has written,
    whoever put it: it needs no node, no network and no data directory.  Exit code 3 if there are
    none, 5 if a signature does not hold.
    """
    if file or cid == "verify":
        _show(common, _some(_verified(cid, file)))
        return
    from dhtstore.cli.running.session import ask
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.keeping import ListReceipts

    _show(common, ask(common, ListReceipts(root=as_one_spelling(cid))))


def _verified(word: str, file: str) -> list[SignedReceipt]:
    """Of a file, or of standard input.  Raises UsageError, UnreadableSource, InvalidSignature."""
    import os
    import sys

    from dhtstore.api.proofs.receipts import verify_receipts
    from dhtstore.api.sources import open_source
    from dhtstore.errors import UnreadableSource, UsageError
    from dhtstore.params import RECEIPTS_FILE_MAX_BYTES

    if word != "verify":
        raise UsageError(f"a file goes with `receipts verify`, not with {word[:60]!r}")
    if not file:
        raise UsageError("which file?").hinted(
            "`dhtstore receipts verify FILE`; receipts of something called verify, by its CID"
        )
    if file == "-":
        return verify_receipts(sys.stdin.buffer.read(RECEIPTS_FILE_MAX_BYTES + 1))
    try:
        source = open_source(file)
    except UnreadableSource as error:
        raise error.hinted("check the path; what comes out of a pipe is given as -") from None
    if source.kind == "directory":
        os.close(source.descriptor)
        raise UnreadableSource(f"{file} is a directory").hinted("give a file of receipts")
    with os.fdopen(source.descriptor, "rb") as opened:
        return verify_receipts(opened.read(RECEIPTS_FILE_MAX_BYTES + 1))


def _some(rows: list[SignedReceipt]) -> list[SignedReceipt]:
    """Raises NotFound: without any, nothing was verified."""
    from dhtstore.errors import NotFound

    if not rows:
        raise NotFound("there is no receipt in it: nobody signed").hinted(
            "put it again, until holders have signed; `dhtstore receipts CID --json` writes theirs"
        )
    return rows


def _show(common: Common, rows: list[SignedReceipt]) -> None:
    from dhtstore.cli.terminal.show import moment, print_json, print_table

    if common.json:
        print_json(rows)
        return
    cells = [
        (row.node, row.unit, row.blocks, row.size, moment(row.time), "verified", row.against)
        for row in rows
    ]
    print_table(cells, ("node", "unit", "blocks", "bytes", "signed", "signature", "since"))
