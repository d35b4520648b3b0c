"""status: how this node, or one CID, is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.cli.naming.arguments import Anything
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING, CheckNow
from dhtstore.errors import UsageError
from dhtstore.params import REPLICAS_MAX

if TYPE_CHECKING:
    from dhtstore.operations.nodes import (
        AnnouncingStatus,
        HolderStatus,
        NodeStatus,
        RoomStatus,
        TrafficStatus,
        UnitStatus,
    )
    from dhtstore.operations.safety import CopiesStatus


@command(
    VISITING,
    examples=(
        "dhtstore status",
        "dhtstore status bafybei...",
        "dhtstore status bafybei... --check",
    ),
)
def status(
    common: Common,
    cid: Anything = "",
    check: CheckNow = False,
) -> None:
    """Tell how this node is doing, or how well something is held.

    Without CID, also what is held here and most likely to be lost, and what waits for repair.  With
    CID how safe it is, what is due next, and for each of its units which copies there are.

    Copies that are "believed" signed a receipt, and were last proved when the table says; those
    that are "live" are here, or were asked with --check, which ends with exit code 7 where fewer
    than 2 of a unit (or what min_acks or replicas say) are.  Whoever only announces it
    ("announced"), or "says so" when asked, is no copy of what was put from here; of anything else
    it is one if it gives a block picked at random.  Copies "for others" are proved, and kept for
    another owner of the same.
    """
    if cid:
        _show_root(common, cid, check=check)
    elif check:
        raise UsageError("--check is about a CID").hinted("dhtstore list --check asks for all puts")
    else:
        _show_node(common)


def _show_node(common: Common) -> None:
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.common import printable
    from dhtstore.cli.terminal.show import (
        emit_lines,
        fields_of,
        moment,
        place_text,
        print_fields,
        print_json,
        say,
    )
    from dhtstore.cli.terminal.words import weak_lines
    from dhtstore.config import format_duration
    from dhtstore.net.clock import SystemClock
    from dhtstore.operations.nodes import DescribeNode

    told = ask(common, DescribeNode())
    if common.json:
        print_json(told)
        return
    sizes = {"capacity": _capacity(told), "used": used_text(told)}
    up = None if told.uptime_s is None else format_duration(told.uptime_s)
    fields = {**fields_of(told), **sizes, "uptime_s": up, "verified": moment(told.verified)}
    for name in ("warnings", "room", "damage", "announcing", "traffic", "copies"):
        del fields[name]
    ahead_s = fields["clock_ahead_s"]
    fields["clock_ahead_s"] = "not known" if ahead_s is None else f"{round(ahead_s)} s"
    named = {name.removesuffix("_s"): value for name, value in fields.items()}
    line = {**_announcing(told.announcing), **_traffic(told.traffic)}
    print_fields({**named, **line, **_room(told.room), **_repairs(told.copies)})
    if told.copies is not None:
        emit_lines(map(printable, weak_lines(told.copies, SystemClock().unix_s())))
    if not told.running:
        say(common, "no node runs here: this is what lies in the data directory")
    for place in told.damage:
        say(common, f"damaged {place.block}: {place_text(place)}")
    for warning in told.warnings:
        say(common, f"warning: {warning}")


def _capacity(told: NodeStatus) -> str:
    """What is given, and to whom."""
    from dhtstore.config import format_size

    if not told.capacity or told.room is None:
        return format_size(told.capacity)
    whom = {"mine": "its own owner", "owners": "listed owners", "network": "the network"}
    return f"{format_size(told.capacity)} for {whom.get(told.room.accept, told.room.accept)}"


def used_text(told: NodeStatus) -> str:
    """What is stored here; of it what no claim accounts for, if there is any."""
    from dhtstore.config import format_size

    room = told.room
    text = format_size(told.used)
    if room and room.reserved:
        text += f", {format_size(room.reserved)} of it set aside"
    if room and room.unclaimed:
        text += f", at least {format_size(room.unclaimed)} unclaimed"
    return text


def claimed_text(room: RoomStatus) -> str:
    """What claims are charged with, which is no part of what is used."""
    from dhtstore.config import format_size

    return (
        f"{format_size(room.own)} own, {format_size(room.others)} of others"
        " (blocks that several share count for each)"
    )


def _room(room: RoomStatus | None) -> dict[str, str]:
    """Whose claims there are, shares against their limits, and the disk."""
    from dhtstore.config import format_size

    if room is None:
        return {}
    names = {"newcomers": "new owners", "owner": "largest owner", "origin": "largest origin"}
    shares = {
        f"{names.get(each.of, each.of)}": f"{format_size(each.used)} of {format_size(each.limit)}"
        + (f" ({each.name})" if each.name else "")
        for each in room.shares
    }
    loose = {"cache": format_size(room.cache)}
    if room.garbage is not None:
        loose["garbage"] = format_size(room.garbage)
    if room.dead is not None:
        loose["dead"] = f"{format_size(room.dead)} in packs"
    free = "-" if room.disk_free is None else format_size(room.disk_free)
    beside = f", {format_size(room.promised)} promised by other nodes" if room.promised else ""
    files = f"blocks {format_size(room.packs)}, index {format_size(room.index)}"
    if room.aside:
        files += f", kept free for the index {format_size(room.aside)}"
    if room.donated:
        used, donated = format_size(room.donated_used), format_size(room.donated)
        loose["donated"] = f"{used} of {donated}, for what is short of copies"
    left = f", {format_size(room.disk_reserve)} of it are left alone" if room.disk_reserve else ""
    return {
        "files": files,
        "claimed": claimed_text(room),
        **shares,
        **loose,
        "disk_free": f"{free}{left}{beside}",
    }


def _announcing(told: AnnouncingStatus | None) -> dict[str, str]:
    """Whether what is kept can be found."""
    from dhtstore.cli.terminal.show import moment

    if told is None:
        return {}
    text = f"{told.announced} of {told.units} units"
    if told.announced:
        text += f", the oldest at {moment(told.oldest)}"
    if told.overdue:
        text += f", {told.overdue} are late"
    return {"announced": text}


def _repairs(told: CopiesStatus | None) -> dict[str, str]:
    """How much repairs have sent."""
    from dhtstore.config import format_size

    if told is None:
        return {}
    budget = format_size(told.budget)
    return {"repairs": f"{format_size(told.spent)} sent today, of {budget} that they may"}


def _traffic(told: TrafficStatus | None) -> dict[str, str]:
    """What the DHT costs the line."""
    from dhtstore.config import format_size

    if told is None:
        return {}
    packets = f"{told.packets_in:.2f} in, {told.packets_out:.2f} out"
    in_, out = format_size(round(told.bytes_in)), format_size(round(told.bytes_out))
    texts = {"datagrams/s": packets, "bytes/s": f"{in_} in, {out} out"}
    return texts if told.sockets is None else {**texts, "sockets": str(told.sockets)}


def _announced(row: UnitStatus) -> str:
    """Those beside the copies that count: kept for others, or by no more than a word."""
    others = sum(each.state == "for others" for each in row.holders)
    text = f", {others} for others" if others else ""
    return f"{text}, {len(row.announced)} announced" if row.announced else text


_HEADERS = ("unit", "copies", "holder", "state", "last proved", "network", "seen", "why")


def _where(held: HolderStatus) -> str:
    return f"{held.network} ({held.domain})" if held.domain else held.network


def seen_of(held: HolderStatus) -> str:
    """Whether it answers, and how often it was there before."""
    from dhtstore.config import format_duration

    if held.silent_s is None:
        return ""
    answers = "answered before" if held.state == "silent" else "answers"
    now = f"silent for {format_duration(held.silent_s)}" if held.silent_s else answers
    return now if held.there is None else f"{now}, there {held.there * 100:.0f} % of the time"


def _show_root(common: Common, cid: str, *, check: bool) -> None:
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.common import printable
    from dhtstore.cli.terminal.show import emit_lines, moment, print_json, print_table
    from dhtstore.cli.terminal.words import root_lines
    from dhtstore.errors import QuorumNotReached
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.net.clock import SystemClock
    from dhtstore.operations.nodes import DescribeRoot

    told = ask(common, DescribeRoot(root=as_one_spelling(cid), check=check))
    if common.json:
        print_json(told)
    else:
        wanted = "" if told.replicas is None else f" of {told.replicas}"
        most = told.replicas or REPLICAS_MAX
        cells = [
            (
                row.unit,
                f"{min(len(row.providers), most)}{wanted}{_announced(row)}",
                held.node,
                held.state,
                f"{moment(held.proved)} {held.proved_by}".rstrip(),
                _where(held),
                seen_of(held),
                held.why,
            )
            for row in told.units
            for held in row.holders
        ]
        emit_lines(map(printable, root_lines(told, SystemClock().unix_s())))
        print_table(cells, _HEADERS)
    if check and told.copies < told.min_acks:
        raise QuorumNotReached(
            f"{told.copies} live copies, fewer than the {told.min_acks} there have to be",
            copies=told.copies,
            replicas=told.replicas or told.copies,
            min_acks=told.min_acks,
            partial=told,
        ).hinted("put it again from where the original is: that adds what is missing")
