"""verify: read every block of the local store again."""

from __future__ import annotations

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import WAITING
from dhtstore.cli.terminal.progress.options import Showing, Shown, Verbose


@command(
    WAITING,
    examples=("dhtstore verify",),
)
def verify(common: Common, progress: Showing = Shown.AUTO, verbose: Verbose = False) -> None:
    """Check every block held here, and that what is kept is here.

    Exit code 5 if a block is not what its CID says, or something is missing.
    """
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.progress.sentences import kept_of_verify
    from dhtstore.cli.terminal.progress.watching import watching
    from dhtstore.cli.terminal.show import emit, print_json
    from dhtstore.config import format_size
    from dhtstore.errors import StoreDamaged
    from dhtstore.operations.keeping import VerifyStore

    with watching(common, progress, verbose, kept_of_verify) as watch:
        found = run(common, Errand(VerifyStore(), watch=watch))
    if common.json:
        print_json(found)
    else:
        for cid in found.damaged:
            emit(f"damaged {cid}")
        for unit in found.units:
            emit(f"incomplete {unit.unit} of {', '.join(unit.roots)}: {unit.cause}")
        emit(f"{found.blocks} blocks, {format_size(found.size)} verified")
    if found.damaged or found.incomplete:
        raise StoreDamaged(
            f"{len(found.damaged)} blocks are damaged, {found.incomplete} units are incomplete"
        )
