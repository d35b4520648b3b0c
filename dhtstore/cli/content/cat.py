"""cat: print a file's bytes."""

from __future__ import annotations

from dhtstore.cli.explaining.explained import Explain, explained
from dhtstore.cli.naming.arguments import Content
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING, Range
from dhtstore.cli.terminal.progress.options import Shown


@command(
    VISITING,
    examples=(
        "dhtstore cat bafybei...",
        "dhtstore cat bafybei.../notes/today.txt | less",
        "dhtstore cat bafybei... --range 1G-2G",
        "dhtstore cat bafkrei... --seed dht1...",
    ),
)
def cat(common: Common, cid: Content, span: Range = None, explain: Explain = False) -> None:
    """Print the bytes of a file; every block is checked.

    They go to standard output, in order; with --json what came of it is told on standard error.
    With --range only the blocks that hold the range are fetched.
    Exit code 3: nobody provides it; 4: nobody who does answered; 5: what they have is damaged.
    """
    from dhtstore.cli.content.streaming import into_stream
    from dhtstore.cli.naming.ranges import span_of
    from dhtstore.cli.terminal.show import tell_json
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.content import Read

    start, end = span_of(span) or (0, None)
    reading = Read(target=as_one_spelling(cid), start=start, end=end)
    with explained(common, explain) as told:
        result = into_stream(common, reading, "", (Shown.NONE, False))
        told.append(result.report)
    if common.json:
        tell_json(result)
