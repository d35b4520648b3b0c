"""status: how this node, or one CID, is doing."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dhtstore.cli.terminal.common import Common, command


@command
def status(common: Common, cid: Annotated[str, typer.Argument(metavar="[CID]")] = "") -> None:
    """Tell how this node is doing; or, for each unit of CID, how many nodes provide it."""
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import print_json
    from dhtstore.model.cid import parse_cid_path
    from dhtstore.wire.control import Request

    target = str(parse_cid_path(cid)[0]) if cid else ""
    fields = ask(common, Request("status", target=target))
    if common.json:
        print_json(fields)
    elif cid:
        _print_units(fields)
    else:
        _print_node(fields)


def _print_node(fields: dict[str, Any]) -> None:
    from dhtstore.cli.terminal.show import print_fields
    from dhtstore.config import format_size

    sizes = {name: format_size(fields[name]) for name in ("capacity", "used")}
    print_fields({**fields, **sizes, "uptime": f"{fields['uptime']:.0f} s"})


def _print_units(fields: dict[str, Any]) -> None:
    from dhtstore.cli.terminal.show import print_table

    wanted = "" if fields["replicas"] is None else f" of {fields['replicas']}"
    cells = [
        (row["unit"], f"{len(row['providers'])}{wanted}", row["providers"])
        for row in fields["units"]
    ]
    print_table(cells, ("unit", "copies", "holders"))
