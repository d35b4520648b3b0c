"""--explain: who was asked for blocks, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dhtstore.cli.terminal.common import Common

if TYPE_CHECKING:
    from dhtstore.operations.content import GetResult, HolderShare


@contextmanager
def explained(common: Common, asked: bool) -> Iterator[list[GetResult]]:
    """Tells, where it was ``asked``, of the results that are put into the list, and of what fails
    in the block."""
    from dhtstore.cli.terminal.show import say
    from dhtstore.errors import DhtstoreError
    from dhtstore.operations.content import FetchReport

    results: list[GetResult] = []
    try:
        yield results
    except DhtstoreError as error:
        report = vars(error).get("report")
        if asked and isinstance(report, FetchReport):
            for search in report.searches:
                say(common, f"unit {search.unit}: {search.told}")
            _tell(common, report.holders)
        raise
    if asked:
        for result in results:
            _tell(common, result.shares)


def _tell(common: Common, shares: Sequence[HolderShare]) -> None:
    from dhtstore.cli.terminal.show import say

    if not shares:
        say(common, "nobody was asked for blocks")
        return
    rows = [("node", "asked", "gave", "bytes", "lacked", "what went wrong")]
    rows += [_row(share) for share in shares]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:5], widths[1:], strict=True)]
        say(common, "  ".join([*cells, row[5]]).rstrip())


def _row(share: HolderShare) -> tuple[str, str, str, str, str, str]:
    from dhtstore.config import format_size

    wrong = f"refused: {share.refused}" if share.refused else share.failed
    gave = format_size(share.delivered_bytes)
    return (share.node, str(share.asked), str(share.delivered), gave, str(share.lacked), wrong)
