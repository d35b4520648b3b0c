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
    """End what was put from here, on this node.

    Its entry in `list`, receipts and claims are gone, it is announced no more, and its room comes
    back by itself, or now with `gc`.  Copies on other nodes stay.  What was pinned by hand as well
    stays here until `pin rm`.  Exit code 3 if it is not here at all, 2 if it is here for another
    reason, which is told.
    """
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.common import printable
    from dhtstore.cli.terminal.show import emit, print_json
    from dhtstore.config import counted, format_size
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.keeping import RemovePut

    removed = ask(common, RemovePut(root=as_one_spelling(cid)))
    if common.json:
        print_json(removed)
        return
    named = f"{printable(removed.name)} " if removed.name else ""
    emit(f"removed {named}{removed.cid}, {format_size(removed.size)}")
    if removed.elsewhere:
        stay = "stays" if removed.elsewhere == 1 else "stay"
        emit(f"{counted(removed.elsewhere, 'copy', 'copies')} on other nodes {stay} there")
    if removed.pinned:
        emit("it is pinned by hand, too, and stays here until `dhtstore pin rm`")
