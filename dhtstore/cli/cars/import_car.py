"""import: the blocks of a CAR into the store here."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import WAITING
from dhtstore.cli.terminal.progress.options import Showing, Shown, Verbose

if TYPE_CHECKING:
    from dhtstore.operations.cars import Import, ImportResult

_STDIN = "-"


@command(
    WAITING,
    examples=(
        "dhtstore import holiday.car",
        "dhtstore import holiday.car --name holiday",
        "ipfs dag export bafybei... | dhtstore import -",
        "dhtstore import half.car --partial",
    ),
)
def import_car(
    common: Common,
    file: Annotated[
        str, typer.Argument(metavar="FILE.car|-", help="A CAR, or - for standard input.")
    ],
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="NAME",
            help="What to call its root here.",
            show_default="as before, or none",
        ),
    ] = "",
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Take what there is of DAGs with missing blocks: cached until room is wanted.",
        ),
    ] = False,
    progress: Showing = Shown.AUTO,
    verbose: Verbose = False,
) -> None:
    """Store what a CAR file holds here; pins and prints its roots.

    Versions 1 and 2; every block is checked.  The roots are kept and announced as by `pin add`;
    copies elsewhere come of `put`.  Exit code 3: blocks are missing below a root, here and in the
    file; 5: the file is malformed, and at which byte, or a block is of a kind that is not stored
    (raw and dag-pb are).  Nothing is kept then.  With --partial both are accepted: such blocks are
    left out, nothing is pinned, and what can be reached from the roots stays until room is wanted.
    """
    from dhtstore.cli.terminal.show import emit, print_json, say
    from dhtstore.config import counted, format_size
    from dhtstore.operations.cars import Import

    result = _taken(common, file, Import(name=name, partial=partial), (progress, verbose))
    if common.json:
        print_json(result)
        return
    kept = "pinned" if result.pinned else "cached, not pinned"
    size, blocks = format_size(result.size), counted(result.blocks, "block")
    say(common, f"{blocks}, {size}: {kept}")
    if result.skipped:
        skipped = counted(result.skipped, "block")
        say(common, f"left out {skipped} of kinds that are not stored here")
    for root in result.roots:
        emit(root)


def _taken(common: Common, file: str, asked: Import, showing: tuple[Shown, bool]) -> ImportResult:
    from dhtstore.api.sources import open_file
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.common import about
    from dhtstore.cli.terminal.pipes import from_stdin
    from dhtstore.cli.terminal.progress.sentences import kept_of_import
    from dhtstore.cli.terminal.progress.watching import watching

    with ExitStack() as stack:
        watch = stack.enter_context(watching(common, *showing, kept_of_import))
        if file == _STDIN:
            pump = stack.enter_context(from_stdin())
            return run(common, Errand(asked, [pump.give], watch, pump.start))
        stack.enter_context(about(file))
        return run(common, Errand(asked, [open_file(file)], watch))
