"""status: how this node, or one CID, is doing."""

from __future__ import annotations

from dhtstore.cli.naming.arguments import Anything
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING


@command(
    VISITING,
    examples=(
        "dhtstore status",
        "dhtstore status bafybei...",
    ),
)
def status(
    common: Common,
    cid: Anything = "",
) -> None:
    """Tell how this node is doing, or how well something is held.

    With CID: for each of its units, how many nodes provide it.
    """
    if cid:
        _show_root(common, cid)
    else:
        _show_node(common)


def _show_node(common: Common) -> None:
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import fields_of, print_fields, print_json, say
    from dhtstore.config import format_size
    from dhtstore.operations.nodes import DescribeNode

    told = ask(common, DescribeNode())
    if common.json:
        print_json(told)
        return
    sizes = {"capacity": format_size(told.capacity), "used": format_size(told.used)}
    up = None if told.uptime_s is None else f"{told.uptime_s:.0f} s"
    fields = {**fields_of(told), **sizes, "uptime_s": up}
    del fields["warnings"]
    ahead_s = fields["clock_ahead_s"]
    fields["clock_ahead_s"] = "not known" if ahead_s is None else f"{ahead_s:.0f} s"
    print_fields({name.removesuffix("_s"): value for name, value in fields.items()})
    if not told.running:
        say(common, "no node runs here: this is what lies in the data directory")
    for warning in told.warnings:
        say(common, f"warning: {warning}")


def _show_root(common: Common, cid: str) -> None:
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import print_json, print_table
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.nodes import DescribeRoot

    told = ask(common, DescribeRoot(root=as_one_spelling(cid)))
    if common.json:
        print_json(told)
        return
    wanted = "" if told.replicas is None else f" of {told.replicas}"
    cells = [(row.unit, f"{len(row.providers)}{wanted}", row.providers) for row in told.units]
    print_table(cells, ("unit", "copies", "holders"))
