"""rm: end what was put from here."""

from __future__ import annotations

from dhtstore.cli.naming.arguments import Put
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import ABOUT_HOME


@command(
    ABOUT_HOME,
    examples=("dhtstore rm holiday.iso", "dhtstore rm bafybei..."),
)
def remove(common: Common, cid: Put) -> None:
    """End what you stored, here and on all nodes that hold it.

    Its entry in `list`, receipts and claims are gone, it is announced no more, and its room comes
    back by itself, or now with `gc`.  Holders that can be reached end your claims at once; those
    that cannot once they answer this node, within four days, or when they are back, for 400 days.
    What other owners put as well stays, as theirs; what was pinned by hand stays here until `pin
    rm`.  With the owner's key (`owner export`) it works on any machine, wherever the put was made.
    Exit code 3 if nobody knows of it, 2 if it is here for another reason, which is told.
    """
    from dhtstore.cli.keeping.policy import spread
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.common import printable
    from dhtstore.cli.terminal.progress.sentences import kept_of_removal
    from dhtstore.cli.terminal.progress.watching import interrupted
    from dhtstore.cli.terminal.show import emit, print_json
    from dhtstore.config import counted, format_size
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.keeping import RemovePut

    with interrupted(common, kept_of_removal):
        removed = ask(common, RemovePut(root=as_one_spelling(cid)))
    if common.json:
        print_json(removed)
        return
    named = f"{printable(removed.name)} " if removed.name else ""
    size = f", {format_size(removed.size)}" if removed.size else ""
    emit(f"removed {named}{removed.cid}{size}")
    emit(spread(removed.told, removed.unreached, stored=removed.stored))
    if removed.others:
        stay = "stays" if removed.others == 1 else "stay"
        emit(f"{counted(removed.others, 'claim')} of other owners on the same {stay} there")
    if removed.pinned:
        emit("it is pinned by hand, too, and stays here until `dhtstore pin rm`")
