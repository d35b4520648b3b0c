"""cat: print a file's bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.cli.naming.arguments import Content
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING

if TYPE_CHECKING:
    from dhtstore.operations.content import ReadResult


@command(
    VISITING,
    examples=(
        "dhtstore cat bafybei...",
        "dhtstore cat bafybei.../notes/today.txt | less",
        "dhtstore cat bafkrei... --seed dht1...",
    ),
)
def cat(common: Common, cid: Content) -> None:
    """Print the bytes of a file; every block is checked.

    They go to standard output, in order.
    """
    result = stream(common, cid)
    if common.json:
        from dhtstore.cli.terminal.show import tell_json

        tell_json(result)


def stream(common: Common, cid: str) -> ReadResult:
    """Have the node write to a pipe and print what comes."""
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.pipes import to_stdout
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.content import Read

    reading = Read(target=as_one_spelling(cid))
    with to_stdout() as pump:
        return run(common, Errand(reading, [pump.give], sent=pump.start))
