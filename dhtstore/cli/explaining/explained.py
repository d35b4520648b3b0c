"""--explain: who was asked for blocks, when, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.terminal.common import Common

if TYPE_CHECKING:
    from dhtstore.operations.content import PutResult
    from dhtstore.operations.explaining.report import FetchReport

Explain = Annotated[
    bool, typer.Option("--explain", help="Tell who was asked, when, and what came of it.")
]


@contextmanager
def explained(common: Common, asked: bool) -> Iterator[list[FetchReport]]:
    """Tells, where it was ``asked``, of the reports that are put into the list, and of what fails
    or is interrupted in the block."""
    reports: list[FetchReport] = []
    try:
        yield reports
    except BaseException as error:
        from dhtstore.operations.explaining.report import FetchReport

        report = vars(error).get("report")
        if asked and isinstance(report, FetchReport):
            _tell(common, report)
        raise
    if asked:
        for report in reports:
            _tell(common, report)


@contextmanager
def explained_put(common: Common, asked: bool) -> Iterator[None]:
    """Tells, where it was ``asked``, of a put in the block that is cut short."""
    try:
        yield
    except BaseException as error:
        reports = vars(error).get("reports")
        if asked and reports:
            from dhtstore.cli.explaining.timelines import lines_of_put
            from dhtstore.cli.terminal.show import say

            for line in lines_of_put(reports):
                say(common, line)
        raise


def tell_put(common: Common, result: PutResult) -> None:
    """What became of each node that was asked to hold a copy."""
    from dhtstore.cli.explaining.timelines import lines_of_put
    from dhtstore.cli.terminal.show import say

    for line in lines_of_put(result.reports, result.untold, result.phases):
        say(common, line)


def _tell(common: Common, report: FetchReport) -> None:
    from dhtstore.cli.explaining.timelines import lines_of
    from dhtstore.cli.terminal.show import say

    for line in lines_of(report):
        say(common, line)
