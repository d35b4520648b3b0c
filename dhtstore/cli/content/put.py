"""put: store a file, a directory or standard input."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING
from dhtstore.cli.terminal.progress.options import Showing, Shown, Verbose
from dhtstore.params import DEFAULT_REPLICAS, REPLICAS_MAX

if TYPE_CHECKING:
    from dhtstore.operations.content import Put, PutResult


@command(
    VISITING,
    examples=(
        "dhtstore put holiday.iso --replicas 3",
        'dhtstore put photos/ --name "photos of 2024"',
        "tar c photos | dhtstore put - --name photos.tar",
        "dhtstore put notes.txt --seed dht1...",
    ),
)
def put(
    common: Common,
    path: Annotated[str, typer.Argument(metavar="PATH|-", help="File, directory, or - for stdin.")],
    replicas: Annotated[
        int | None,
        typer.Option(
            "--replicas",
            metavar="N",
            min=1,
            max=REPLICAS_MAX,
            help=f"Copies wanted, 1 to {REPLICAS_MAX}.",
            show_default=f"the node's setting, {DEFAULT_REPLICAS} unless changed",
        ),
    ] = None,
    min_acks: Annotated[
        int | None,
        typer.Option(
            "--min-acks",
            metavar="M",
            min=0,
            max=REPLICAS_MAX,
            help="Copies that must be reached, 0 to N.",
            show_default="the node's setting, 2 unless changed, or N if less",
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="NAME",
            help="What `dhtstore list` calls it.",
            show_default="that of the file",
        ),
    ] = "",
    progress: Showing = Shown.AUTO,
    verbose: Verbose = False,
) -> None:
    """Store a file or directory on several nodes; prints its CID.

    N nodes get a copy each, and sign for it.  The CID is alone on the last line of standard output.

    Exit code 7 means that fewer than M copies were reached, exit code 4 that nobody took the
    records by which they are found; the CID is printed all the same.
    """
    from dhtstore.errors import NotAnnounced, QuorumNotReached
    from dhtstore.operations.content import Put, PutResult

    wanted = Put(kind="stream", name=name, replicas=replicas, min_acks=min_acks)
    try:
        result = _send(common, path, wanted, (progress, verbose))
    except (QuorumNotReached, NotAnnounced) as error:
        if isinstance(error.partial, PutResult):
            _report(common, error.partial)
        raise
    _report(common, result)


def _send(common: Common, path: str, wanted: Put, showing: tuple[Shown, bool]) -> PutResult:
    import msgspec

    from dhtstore.api.files import open_source
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.progress.sentences import kept_of_put
    from dhtstore.cli.terminal.progress.watching import watching

    with ExitStack() as stack:
        watch = stack.enter_context(watching(common, *showing, kept_of_put))
        if path == "-":
            from dhtstore.cli.terminal.pipes import from_stdin

            pump = stack.enter_context(from_stdin())
            piped = msgspec.structs.replace(wanted, name=wanted.name or "-")
            return run(common, Errand(piped, [pump.give], watch, pump.start))
        source = open_source(path)
        named = msgspec.structs.replace(wanted, kind=source.kind, name=wanted.name or source.name)
        return run(common, Errand(named, [source.descriptor], watch))


def _report(common: Common, result: PutResult) -> None:
    from dhtstore.cli.terminal.show import emit, print_json, say

    if result.copies < result.replicas:
        say(common, f"{result.copies} of {result.replicas} copies")
        for node, cause in result.causes.items():
            say(common, f"  {node}: {cause}")
    if common.json:
        print_json(result)
    else:
        emit(result.cid)
