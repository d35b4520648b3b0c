"""cat: print a file's bytes."""

from __future__ import annotations

from typing import Annotated

import typer

from dhtstore.cli.terminal.common import Common, command


@command
def cat(common: Common, cid: Annotated[str, typer.Argument(metavar="CID[/PATH]")]) -> None:
    """Write the bytes of the file CID to standard output, in order, each block checked."""
    stream(common, cid)


def stream(common: Common, cid: str) -> None:
    """Have the node write to a pipe and print what comes."""
    from dhtstore.cli.running import session
    from dhtstore.cli.terminal.pipes import to_stdout
    from dhtstore.model.cid import parse_cid_path
    from dhtstore.wire.control import Request

    root, names = parse_cid_path(cid)
    request = Request("cat", target="/".join([str(root), *names]))
    with to_stdout() as pump:
        session.run(common, session.Errand(request, [pump.give], sent=pump.start))
