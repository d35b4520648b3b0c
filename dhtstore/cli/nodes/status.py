"""status: how this node, or one CID, is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.cli.naming.arguments import Anything
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING

if TYPE_CHECKING:
    from dhtstore.operations.nodes import NodeStatus, RoomStatus


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
    from dhtstore.operations.nodes import DescribeNode

    told = ask(common, DescribeNode())
    if common.json:
        print_json(told)
        return
    sizes = {"capacity": _capacity(told), "used": _used(told)}
    up = None if told.uptime_s is None else f"{told.uptime_s:.0f} s"
    fields = {**fields_of(told), **sizes, "uptime_s": up}
    del fields["warnings"], fields["room"]
    ahead_s = fields["clock_ahead_s"]
    fields["clock_ahead_s"] = "not known" if ahead_s is None else f"{ahead_s:.0f} s"
    named = {name.removesuffix("_s"): value for name, value in fields.items()}
    print_fields({**named, **_room(told.room)})
    if not told.running:
        say(common, "no node runs here: this is what lies in the data directory")
    for warning in told.warnings:
        say(common, f"warning: {warning}")


def _capacity(told: NodeStatus) -> str:
    """What is given, and to whom."""
    from dhtstore.config import format_size

    if not told.capacity or told.room is None:
        return format_size(told.capacity)
    whom = {"mine": "its own owner", "owners": "listed owners", "network": "the network"}
    return f"{format_size(told.capacity)} for {whom.get(told.room.accept, told.room.accept)}"


def _used(told: NodeStatus) -> str:
    """Of what it is, where that is known."""
    from dhtstore.config import format_size

    room = told.room
    if room is None:
        return format_size(told.used)
    parts = {"own": room.own, "of others": room.others, "reserved": room.reserved}
    named = [f"{format_size(size)} {of}" for of, size in parts.items()]
    return f"{format_size(told.used)}: {', '.join(named)}, {format_size(room.unclaimed)} unclaimed"


def _room(room: RoomStatus | None) -> dict[str, str]:
    """Shares against their limits, and the disk."""
    from dhtstore.config import format_size

    if room is None:
        return {}
    names = {"newcomers": "new owners", "owner": "largest owner", "origin": "largest origin"}
    shares = {
        f"{names.get(each.of, each.of)}": f"{format_size(each.used)} of {format_size(each.limit)}"
        + (f" ({each.name})" if each.name else "")
        for each in room.shares
    }
    free = "-" if room.disk_free is None else format_size(room.disk_free)
    beside = f", {format_size(room.promised)} promised by other nodes" if room.promised else ""
    return {**shares, "disk_free": f"{free}{beside}"}


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
