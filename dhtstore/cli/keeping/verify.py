"""verify: read every block of the local store again."""

from __future__ import annotations

from dhtstore.cli.terminal.common import Common, command


@command
def verify(common: Common) -> None:
    """Check every block held here against its CID; exit code 5 if one is damaged."""
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.bar import progress_bar
    from dhtstore.cli.terminal.show import emit, print_json
    from dhtstore.config import format_size
    from dhtstore.errors import StoreDamaged
    from dhtstore.operations.keeping import VerifyStore

    with progress_bar(common) as watch:
        found = run(common, Errand(VerifyStore(), watch=watch))
    if common.json:
        print_json(found)
    else:
        for cid in found.damaged:
            emit(f"damaged {cid}")
        emit(f"{found.blocks} blocks, {format_size(found.size)} verified")
    if found.damaged:
        raise StoreDamaged(f"{len(found.damaged)} blocks are damaged")
