"""pin: what this node keeps whatever the network wants."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from dhtstore.cli.explaining.explained import Explain, explained
from dhtstore.cli.naming.arguments import Pinned, Root
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import ABOUT_HOME, WAITING
from dhtstore.cli.terminal.parser import CommandGroup, register
from dhtstore.cli.terminal.progress.options import Showing, Shown, Verbose

app: Final = typer.Typer(
    cls=CommandGroup, help="Keep roots here, whatever the network wants.", no_args_is_help=True
)


@command(
    WAITING,
    examples=("dhtstore pin add bafybei...", "dhtstore pin add bafybei... --name holiday"),
)
def add(
    common: Common,
    cid: Root,
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="NAME",
            help="What to call it here.",
            show_default="as before, or none",
        ),
    ] = "",
    progress: Showing = Shown.AUTO,
    verbose: Verbose = False,
    explain: Explain = False,
) -> None:
    """Fetch all of it into this node's store, keep and announce it.

    Interrupted, what came stays for the next try as long as nobody wants the room.
    """
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.common import printable
    from dhtstore.cli.terminal.progress.sentences import kept_of_pin
    from dhtstore.cli.terminal.progress.watching import watching
    from dhtstore.cli.terminal.show import emit, print_json, say
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.keeping import AddPin

    asked = AddPin(root=as_one_spelling(cid), name=name)
    with explained(common, explain) as told:
        with watching(common, progress, verbose, kept_of_pin) as watch:
            pinned = run(common, Errand(asked, watch=watch))
        told.append(pinned.report)
    if common.json:
        print_json(pinned)
        return
    if pinned.before and pinned.before != pinned.name:
        say(common, f"it was called {printable(pinned.before)} before, {pinned.name} now")
    emit(pinned.cid)


@command(
    ABOUT_HOME,
    examples=("dhtstore pin rm holiday", "dhtstore pin rm bafybei..."),
)
def rm(common: Common, cid: Pinned) -> None:
    """Stop keeping it for its own sake.

    What nothing else keeps goes by itself, or now with `gc`.  Exit code 3 if it was not pinned by
    hand.
    """
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import print_json
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.keeping import RemovePin

    removed = ask(common, RemovePin(root=as_one_spelling(cid)))
    if common.json:
        print_json(removed)


@command(
    ABOUT_HOME,
    examples=("dhtstore pin ls",),
)
def ls(common: Common) -> None:
    """List the pins: CID, whether made by a put or by hand, and name."""
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import print_json, print_table, say_none
    from dhtstore.operations.keeping import ListPins

    rows = ask(common, ListPins())
    if common.json:
        print_json(rows)
        return
    print_table([(row.cid, row.kind, row.name) for row in rows], ("cid", "kind", "name"))
    if not rows:
        say_none(common, "nothing is pinned here")


register(app, {"add": add, "rm": rm, "ls": ls})
