"""pin: what this node keeps whatever the network wants."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from dhtstore.cli.common import Common, command

app: Final = typer.Typer(help="Keep things here, whatever the network wants.", no_args_is_help=True)


@command
def add(common: Common, cid: Annotated[str, typer.Argument(metavar="CID")]) -> None:
    """Fetch all of CID into this node's store, keep it and announce it."""
    from dhtstore.cli.bar import progress_bar
    from dhtstore.cli.session import Errand, run
    from dhtstore.cli.show import emit, print_json
    from dhtstore.model.cid import parse_cid_path
    from dhtstore.wire.control import Request

    root, _ = parse_cid_path(cid)
    with progress_bar(common) as watch:
        pinned = run(common, Errand(Request("pin-add", target=str(root)), watch=watch))
    if common.json:
        print_json(pinned)
        return
    emit(pinned["cid"])


@command
def rm(common: Common, cid: Annotated[str, typer.Argument(metavar="CID")]) -> None:
    """Stop keeping CID for its own sake; exit code 3 if it was not pinned."""
    from dhtstore.cli.session import ask
    from dhtstore.cli.show import print_json
    from dhtstore.model.cid import parse_cid_path
    from dhtstore.wire.control import Request

    root, _ = parse_cid_path(cid)
    removed = ask(common, Request("pin-rm", target=str(root)))
    if common.json:
        print_json(removed)


@command
def ls(common: Common) -> None:
    """List the pins: CID, whether made by a put or by hand, and name."""
    from dhtstore.cli.session import ask
    from dhtstore.cli.show import print_json, print_table
    from dhtstore.wire.control import Request

    rows = ask(common, Request("pin-ls"))
    if common.json:
        print_json(rows)
        return
    print_table([(row["cid"], row["kind"], row["name"]) for row in rows], ("cid", "kind", "name"))


app.command("add")(add)
app.command("rm")(rm)
app.command("ls")(ls)
