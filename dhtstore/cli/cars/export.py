"""export: DAGs into one file, for other tools."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.explaining.explained import Explain, explained
from dhtstore.cli.naming.arguments import Roots
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING
from dhtstore.cli.terminal.progress.options import Showing, Shown, Verbose

if TYPE_CHECKING:
    from dhtstore.operations.cars import Export, ExportResult

_STDOUT = ("-", "/dev/stdout")


@command(
    VISITING,
    examples=(
        "dhtstore export bafybei... holiday.car",
        "dhtstore export photos letters both.car",
        "dhtstore export bafybei... - | ssh shop dhtstore import -",
        "dhtstore export bafybei... copy.car --seed dht1...",
    ),
)
def export(
    common: Common,
    cids: Roots,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE.car|-", help="Where to; into it where that is a directory. - is stdout."
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace what is there, once all has come.")
    ] = False,
    explain: Explain = False,
    progress: Showing = Shown.AUTO,
    verbose: Verbose = False,
) -> None:
    """Write it as a CAR file, which other IPFS tools read.

    Version 1, depth first, each block once; several CIDs become the roots of one file.  Blocks are
    here or fetched, and each is checked.  FILE.car is there only once it is whole, and nothing is
    left of an export that fails; into a pipe, what came before a failure is no whole CAR.  Exit
    code 3: nobody provides it; 4: nobody who does answered; 5: what they have is damaged.
    """
    from dhtstore.api.files import takes_stream
    from dhtstore.api.sources import export_of
    from dhtstore.cli.content.streaming import into_stream
    from dhtstore.cli.terminal.show import print_json, say, tell_json
    from dhtstore.config import counted, format_size

    asked, to_stdout = export_of(cids), file in _STDOUT
    if to_stdout:
        _check_no_terminal()
    with explained(common, explain) as told:
        if to_stdout or takes_stream(file):
            path = "" if to_stdout else file
            result = into_stream(common, asked, path, (progress, verbose))
        else:
            file, result = _written(common, asked, file, force, (progress, verbose))
        told.append(result.report)
    if common.json:
        (tell_json if to_stdout else print_json)(result)
    elif not to_stdout:
        say(common, f"{file}: {counted(result.blocks, 'block')}, {format_size(result.size)}")


def _check_no_terminal() -> None:
    from dhtstore.errors import UsageError

    if sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("a CAR is no text for a terminal").hinted(
            "send it into a file or a pipe, as in `dhtstore export CID - | dhtstore import -`"
        )


def _written(
    common: Common, asked: Export, file: str, force: bool, showing: tuple[Shown, bool]
) -> tuple[str, ExportResult]:
    from dhtstore.api.files import open_target
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.pipes import to_descriptor
    from dhtstore.cli.terminal.progress.sentences import kept_of_export
    from dhtstore.cli.terminal.progress.watching import watching
    from dhtstore.store.files.stream_output import StreamOutput

    where = open_target(file, f"{asked.roots[0]}.car", force=force)
    path = str(where.path)
    try:
        with (
            StreamOutput(where.directory, where.name, force=force) as output,
            watching(common, *showing, kept_of_export) as watch,
        ):
            with to_descriptor(output.descriptor, path) as pump:
                result = run(common, Errand(asked, [pump.give], watch, sent=pump.start))
            output.finish()
    finally:
        os.close(where.directory)
    return path, result
