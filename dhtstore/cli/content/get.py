"""get: fetch a file or a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.naming.arguments import Content
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING
from dhtstore.cli.terminal.progress.options import Showing, Shown, Verbose

if TYPE_CHECKING:
    from dhtstore.operations.content import GetResult, ReadResult


@command(
    VISITING,
    examples=(
        "dhtstore get bafybei... -o holiday.iso",
        "dhtstore get bafybei.../2024/beach.jpg",
        "dhtstore get bafybei... -o photos --pin",
        "dhtstore get bafybei... -o copy --seed dht1...",
    ),
)
def get(
    common: Common,
    cid: Content,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH|-",
            help="Where to; - is stdout.",
            show_default="the last name of PATH, or the CID",
        ),
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Tell which nodes were asked and why others were not.")
    ] = False,
    pin: Annotated[bool, typer.Option("--pin", help="Keep and announce it here too.")] = False,
    progress: Showing = Shown.AUTO,
    verbose: Verbose = False,
) -> None:
    """Fetch a file or directory from whoever holds it.

    Every block is checked.  An interrupted get leaves PATH.part; the same command checks what is
    there and goes on.  Exit code 3: nobody provides it; 4: nobody who does answered; 5: what they
    have is damaged.
    """
    from dhtstore.model.cid_path import as_one_spelling

    target = as_one_spelling(cid)
    if output == "-":
        from dhtstore.cli.content.cat import stream

        _report_printed(common, stream(common, target))
        return
    path = output or target.rstrip("/").rpartition("/")[2]
    result = _send(common, target, path, pin, (progress, verbose))
    _report(common, path, result)
    if explain:
        _explain(common, result)


def _send(
    common: Common, target: str, path: str, pin: bool, showing: tuple[Shown, bool]
) -> GetResult:
    from dhtstore.api.files import open_target
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.progress.sentences import kept_of_get
    from dhtstore.cli.terminal.progress.watching import watching
    from dhtstore.operations.content import Get
    from dhtstore.store.files.partial import partial_name

    where = open_target(path)
    wanted = Get(target=target, name=where.name, pin=pin)
    partial = str(Path(path).with_name(partial_name(where.directory, where.name)))
    with watching(common, *showing, lambda kept: kept_of_get(kept, partial)) as watch:
        return run(common, Errand(wanted, [where.directory], watch))


def _report(common: Common, path: str, result: GetResult) -> None:
    from dhtstore.cli.terminal.show import print_json, say
    from dhtstore.config import counted, format_size

    if common.json:
        from dhtstore.cli.results import got_to

        print_json(got_to(str(Path(path)), result))
        return
    holders = len(result.holders)
    source = counted(holders, "holder") if holders else "the store here"
    say(common, f"{Path(path)}: {format_size(result.size)} from {source}")


def _report_printed(common: Common, result: ReadResult) -> None:
    if common.json:
        from dhtstore.cli.results import got_to_stdout
        from dhtstore.cli.terminal.show import tell_json

        tell_json(got_to_stdout(result))


def _explain(common: Common, result: GetResult) -> None:
    from dhtstore.cli.terminal.show import say

    for node in result.holders:
        say(common, f"  {node}: asked for blocks")
    for node, cause in result.causes.items():
        say(common, f"  {node}: {cause}")
