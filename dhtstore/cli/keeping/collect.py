"""gc: remove what nothing keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import WAITING
from dhtstore.cli.terminal.progress.options import Showing, Shown, Verbose

if TYPE_CHECKING:
    from dhtstore.operations.keeping import CollectResult


@command(
    WAITING,
    examples=("dhtstore gc --dry-run", "dhtstore gc", "dhtstore gc --cache"),
)
def collect(
    common: Common,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only tell what would be removed.")
    ] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Remove what is cached, too.")] = False,
    progress: Showing = Shown.AUTO,
    verbose: Verbose = False,
) -> None:
    """Remove what nothing keeps, and give its room back to the disk.

    A node does so by itself, a while after something was left and when room is wanted; this does it
    at once, while the node serves, puts and receives as before.  What is cached (`get --cache`)
    goes when room is wanted, oldest use first, or with --cache.  Interrupted, what is done stays
    done.
    Exit code 5 if nothing could be removed, since what is kept below a damaged block is not known.
    """
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.progress.sentences import kept_of_collect
    from dhtstore.cli.terminal.progress.watching import watching
    from dhtstore.cli.terminal.show import print_json
    from dhtstore.config import counted
    from dhtstore.errors import StoreDamaged
    from dhtstore.operations.keeping import CollectGarbage

    asked = CollectGarbage(dry_run=dry_run, cache=cache)
    with watching(common, progress, verbose, kept_of_collect) as watch:
        found = run(common, Errand(asked, watch=watch))
    if common.json:
        print_json(found)
    else:
        _print(found)
    if found.unknown:
        raise StoreDamaged(
            f"nothing is removed: what is kept below {counted(len(found.unknown), 'root')} is not"
            " known"
        ).hinted("`dhtstore verify` tells which blocks are damaged and what mends them")


def _print(found: CollectResult) -> None:
    from dhtstore.cli.terminal.show import emit
    from dhtstore.config import counted, format_size

    for lost in found.unknown:
        emit(f"not known below {lost.root or 'a damaged row of the ledger'}: {lost.why}")
    would = "would be removed" if found.dry_run else "removed"
    blocks = counted(found.garbage_blocks, "block")
    stay = counted(found.kept, "block stays", "blocks stay")
    emit(f"{blocks} {would}, {format_size(found.garbage)}; {stay}")
    if found.cache_roots:
        roots = counted(found.cache_roots, "cached root")
        emit(f"{roots} among them, which brought {format_size(found.cache)}")
    if found.stay_roots:
        roots = counted(found.stay_roots, "cached root")
        emit(
            f"{format_size(found.stay)} that {roots} brought are only cached: they go when room is"
            " wanted, or now with --cache"
        )
    if found.claims:
        emit(f"{counted(found.claims, 'claim')} {'is' if found.claims == 1 else 'are'} over")
    if not found.dry_run:
        emit(f"{format_size(found.freed)} freed")
    if found.dead:
        dead = f"{format_size(found.dead)} in packs belong to nothing"
        emit(f"{dead}: a pack is compacted once a quarter of it does")
