"""why: what keeps a block here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.cli.naming.arguments import Root
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import WAITING

if TYPE_CHECKING:
    from dhtstore.operations.keeping import KeepReason, WhyResult


@command(
    WAITING,
    examples=("dhtstore why bafkrei...",),
)
def why(common: Common, cid: Root) -> None:
    """Tell what keeps a block here.

    That are pins, puts, claims (whose, and until when), the cache, or nothing.  It may be any
    block, also from the middle of a file or directory.  Exit code 3 if it is not here.
    """
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.show import emit, print_json, say
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.keeping import WhyHere

    told = run(common, Errand(WhyHere(root=as_one_spelling(cid))))
    if common.json:
        print_json(told)
        return
    for reason in told.reasons:
        emit(_told(reason, told))
    if told.garbage:
        emit(_garbage(told))
    if not told.complete:
        say(common, "there may be more: not all that is kept here could be looked at")


def _told(reason: KeepReason, told: WhyResult) -> str:
    from dhtstore.cli.terminal.common import printable
    from dhtstore.cli.terminal.show import moment

    part = "" if reason.root == told.cid else f"part of {reason.root}, which is "
    named = f' as "{printable(reason.name)}"' if reason.name else ""
    if reason.kind == "pin":
        return f"{part}pinned by hand{named}"
    if reason.kind == "put":
        return f"{part}put from here{named}"
    if reason.kind == "claim" and reason.over:
        since = moment(reason.expires)
        ends = "a day later that is noted, and after a day of running it ends"
        return f"{part}claimed by owner {reason.owner}, over since {since}: {ends}"
    if reason.kind == "claim":
        return f"{part}claimed by owner {reason.owner}, expires {moment(reason.expires)}"
    if reason.kind == "running":
        return f"{part}being put now"
    return f"{part}cached, last used {moment(reason.used)}: it goes when room is wanted"


def _garbage(told: WhyResult) -> str:
    from dhtstore.cli.terminal.show import moment

    since = f" since {moment(told.since)}" if told.since else ""
    return f"nothing{since}: it goes with the next collection, or now with `dhtstore gc`"
