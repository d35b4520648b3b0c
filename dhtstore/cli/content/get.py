"""get: fetch a file or a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from dhtstore.cli.explaining.explained import Explain, explained
from dhtstore.cli.naming.arguments import Content
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING, Range
from dhtstore.cli.terminal.progress.options import Showing, Shown, Verbose

if TYPE_CHECKING:
    from dhtstore.cli.naming.ranges import Span
    from dhtstore.operations.content import GetResult

_STDOUT = ("-", "/dev/stdout")


class _Wanted(NamedTuple):
    """What was asked for.  ``called`` is its name where no other is given."""

    target: str
    called: str
    output: str
    pin: bool
    force: bool
    span: Span | None
    cache: bool


@command(
    VISITING,
    examples=(
        "dhtstore get bafybei... -o holiday.iso",
        "dhtstore get bafybei.../2024/beach.jpg -o Pictures/",
        "dhtstore get 'bafybei...?filename=holiday.iso'",
        "dhtstore get bafybei... -o photos --pin",
        "dhtstore get bafybei... --range -1M -o end-of.log",
        "dhtstore get bafybei... -o - | tar x",
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
            help="Where to; into it where that is a directory or ends in /. - is stdout.",
            show_default="the name of ?filename=, the last of PATH, or the CID",
        ),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace what is there, once all has come.")
    ] = False,
    explain: Explain = False,
    span: Range = None,
    pin: Annotated[bool, typer.Option("--pin", help="Keep and announce it here too.")] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Keep what is fetched here until room is wanted.")
    ] = False,
    progress: Showing = Shown.AUTO,
    verbose: Verbose = False,
) -> None:
    """Fetch a file or directory from whoever holds it.

    Every block is checked.  Mode (without setuid, setgid and sticky bits) and time are restored
    where they were kept; hard links come back as files of their own.  To stdout, a pipe or a
    device a file goes byte by byte, a directory as a tar stream; /dev/null only checks.  An
    interrupted get leaves PATH.part; the same command checks what is there and goes on.  Exit
    code 3: nobody provides it; 4: nobody who does answered; 5: what they have is damaged.
    """
    from dhtstore.cli.naming.ranges import span_of
    from dhtstore.errors import UsageError
    from dhtstore.model.cid_path import as_one_spelling, file_name

    called = file_name(cid)
    wanted = _Wanted(as_one_spelling(cid), called, output, pin, force, span_of(span), cache)
    if wanted.span and (pin or cache):
        raise UsageError("--pin and --cache keep all of it, and not a range").hinted(
            "leave one of both away; `dhtstore pin add` keeps it"
        )
    if pin and cache:
        raise UsageError("what --pin keeps is not for --cache to give up").hinted(
            "leave one of both away"
        )
    with explained(common, explain) as told:
        path, result = _fetched(common, wanted, (progress, verbose))
        told.append(result.report)
    _report(common, path, result)
    if cache and not result.cached:
        _not_cached(common)


def _fetched(common: Common, wanted: _Wanted, showing: tuple[Shown, bool]) -> tuple[str, GetResult]:
    from dhtstore.api.files import takes_stream

    if wanted.output in _STDOUT:
        return "-", _streamed(common, wanted, showing)
    if takes_stream(wanted.output):
        return wanted.output, _streamed(common, wanted, showing)
    return _written(common, wanted, showing)


def _written(common: Common, wanted: _Wanted, showing: tuple[Shown, bool]) -> tuple[str, GetResult]:
    from dhtstore.api.files import open_target
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.progress.sentences import kept_of_get
    from dhtstore.cli.terminal.progress.watching import watching
    from dhtstore.operations.content import Get
    from dhtstore.store.files.partial import partial_name

    where = open_target(wanted.output or ".", wanted.called, force=wanted.force)
    start, end = wanted.span or (None, None)
    asked = Get(
        target=wanted.target,
        name=where.name,
        pin=wanted.pin,
        force=wanted.force,
        cache=wanted.cache,
        start=start,
        end=end,
    )
    partial = str(where.path.with_name(partial_name(where.directory, where.name)))
    with watching(common, *showing, lambda kept: kept_of_get(kept, partial)) as watch:
        result = run(common, Errand(asked, [where.directory], watch))
    return str(where.path), result


def _streamed(common: Common, wanted: _Wanted, showing: tuple[Shown, bool]) -> GetResult:
    from dhtstore.cli.content.streaming import into_stream
    from dhtstore.errors import UsageError
    from dhtstore.operations.content import Read, got

    if wanted.pin or wanted.cache:
        raise UsageError("what goes to stdout, a pipe or a device is not kept here").hinted(
            "leave --pin and --cache away, and keep it with `dhtstore pin add`"
        )
    asked = Read(target=wanted.target, form="either", name=wanted.called)
    if wanted.span:
        asked = Read(target=wanted.target, start=wanted.span[0], end=wanted.span[1])
    path = "" if wanted.output in _STDOUT else wanted.output
    return got(into_stream(common, asked, path, showing))


def _not_cached(common: Common) -> None:
    from dhtstore.cli.terminal.show import say

    say(common, "not cached: there is no room for it here")


def _report(common: Common, path: str, result: GetResult) -> None:
    """On standard error where data has standard output."""
    from dhtstore.cli.terminal.show import print_json, say, tell_json
    from dhtstore.config import counted, format_size

    if common.json:
        from dhtstore.cli.results import got_to

        tell = tell_json if path == "-" else print_json
        tell(got_to(path, result))
    elif path != "-":
        gave = sum(each.delivered > 0 for each in result.report.holders)
        source = counted(gave, "holder") if gave else "the store here"
        say(common, f"{path}: {format_size(result.size)} from {source}")
