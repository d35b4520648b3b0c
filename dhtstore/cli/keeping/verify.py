"""verify: read every block of the local store again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import WAITING
from dhtstore.cli.terminal.progress.options import Showing, Shown, Verbose

if TYPE_CHECKING:
    from dhtstore.operations.keeping import DamagePlace, VerifyResult


@command(
    WAITING,
    examples=("dhtstore verify",),
)
def verify(common: Common, progress: Showing = Shown.AUTO, verbose: Verbose = False) -> None:
    """Check every block held here, and that what is kept is here.

    Cut short, the next within a week goes on from there.
    Exit code 5 if a block is not what its CID says, or something is missing.
    """
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.progress.sentences import kept_of_verify
    from dhtstore.cli.terminal.progress.watching import watching
    from dhtstore.cli.terminal.show import emit, print_json, say
    from dhtstore.config import counted, format_size
    from dhtstore.errors import StoreDamaged
    from dhtstore.operations.keeping import VerifyStore

    with watching(common, progress, verbose, kept_of_verify) as watch:
        found = run(common, Errand(VerifyStore(), watch=watch))
    if common.json:
        print_json(found)
    else:
        _print_damage(found)
        for unit in found.units:
            emit(f"incomplete {unit.unit} of {', '.join(unit.roots)}: {unit.why}")
        before = f", {found.before:,} of them before it was cut short" if found.before else ""
        emit(f"{counted(found.blocks, 'block')}, {format_size(found.size)} verified{before}")
    if found.unwritten:
        say(common, f"warning: not written down: {found.unwritten}; verify again once it can be")
    if found.damaged or found.incomplete:
        raise StoreDamaged(
            f"{counted(len(found.damaged), 'block is', 'blocks are')} damaged,"
            f" {counted(found.incomplete, 'unit is', 'units are')} incomplete"
        )


def _print_damage(found: VerifyResult) -> None:
    """Each block with what it belongs to, then the command for each root once."""
    from dhtstore.cli.terminal.show import emit, place_text

    places: dict[str, list[DamagePlace]] = {}
    for place in found.places:
        places.setdefault(place.block, []).append(place)
    for cid in found.damaged:
        emit(f"damaged {cid}")
        for place in places.get(cid, ()):
            emit(f"  {place_text(place)}")
    for mend in dict.fromkeys(place.mend for place in found.places):
        emit(f"to mend it, put the same again where it was put, or: {mend}")
