"""policy: how many copies of what was put are wanted, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.naming.arguments import Put
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import ABOUT_HOME
from dhtstore.params import REPLICAS_MAX

if TYPE_CHECKING:
    from dhtstore.operations.keeping import PolicyInfo

Wanted = Annotated[
    int | None,
    typer.Option(
        "--replicas",
        metavar="N",
        min=1,
        max=REPLICAS_MAX,
        help=f"Copies wanted from now on, 1 to {REPLICAS_MAX}.",
        show_default="as before",
    ),
]
Lasting = Annotated[
    str | None,
    typer.Option(
        "--ttl",
        metavar="T",
        help="How long from now on, as 30d or 12h; none for until it is removed.",
        show_default="as before",
    ),
]


@command(
    ABOUT_HOME,
    examples=(
        "dhtstore policy holiday.iso",
        "dhtstore policy holiday.iso --replicas 5",
        "dhtstore policy bafybei... --ttl none",
    ),
)
def policy(common: Common, cid: Put, replicas: Wanted = None, ttl: Lasting = None) -> None:
    """Show how many copies are wanted and until when, or change it.

    A change is told to all holders that can be reached, by this node for four days to those that
    answer again, and kept by the network for those that are away.  It can be made with the owner's
    key on any machine (`owner export`), wherever the put was made.  Exit code 3 if nobody knows of
    it.
    """
    from dhtstore.api.sources import ttl_s_of
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.progress.sentences import kept_of_policy
    from dhtstore.cli.terminal.progress.watching import interrupted
    from dhtstore.cli.terminal.show import print_json
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.keeping import SetPolicy

    asked = SetPolicy(root=as_one_spelling(cid), replicas=replicas, ttl_s=ttl_s_of(ttl))
    with interrupted(common, kept_of_policy):
        told = ask(common, asked)
    if common.json:
        print_json(told)
    else:
        _tell(told)


def _tell(told: PolicyInfo) -> None:
    from dhtstore.cli.terminal.show import emit, moment
    from dhtstore.config import counted

    if told.removed:
        emit(f"removed {moment(told.signed)}: no copy of {told.cid} is wanted")
        return
    until = f"until {moment(told.expires)}" if told.expires else "until it is removed"
    emit(f"{counted(told.replicas, 'copy', 'copies')} of {told.cid}, {until}")
    if told.changed:
        emit(spread(told.told, told.unreached, stored=told.stored, lacking=told.lacking))
        if told.told == told.lacking > 0 and not told.unreached:
            emit("no other node keeps a copy any more: put it again")


def spread(told: int, unreached: int, *, stored: bool, lacking: int = 0) -> str:
    """Who knows of a change."""
    from dhtstore.config import counted

    text = f"{counted(told, 'holder')} told"
    if lacking:
        text += f", {lacking} of which keep it no more"
    if unreached:
        text += f", {unreached} out of reach, told once they answer this node"
    if stored:
        return f"{text}; the network tells those that are away"
    return f"{text}; the network does not know it yet: this node tells it as soon as it can"
