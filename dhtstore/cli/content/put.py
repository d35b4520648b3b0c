"""put: store a file, a directory or standard input."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from dhtstore.cli.terminal.common import Common, command


@command
def put(
    common: Common,
    path: Annotated[str, typer.Argument(metavar="PATH|-", help="File, directory, or - for stdin.")],
    replicas: Annotated[
        int | None, typer.Option("--replicas", metavar="N", min=1, max=64, help="Copies wanted.")
    ] = None,
    min_acks: Annotated[
        int | None,
        typer.Option("--min-acks", metavar="M", min=0, max=64, help="Copies that must be reached."),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What `dhtstore list` calls it.")
    ] = "",
) -> None:
    """Store PATH with N verified copies on N nodes; prints its CID, alone, on the last line.

    Exit code 7 means that fewer than M copies were reached; the CID is printed all the same.
    """
    from dhtstore.errors import QuorumNotReached, UsageError
    from dhtstore.wire.control import Request

    if min_acks is not None and replicas is not None and min_acks > replicas:
        raise UsageError(f"--min-acks {min_acks} is more than --replicas {replicas}")
    request = Request("put", name=name, replicas=replicas, min_acks=min_acks)
    try:
        result = _send(common, path, request)
    except QuorumNotReached as error:
        _report(common, vars(error).get("partial") or {})
        raise
    _report(common, result)


def _send(common: Common, path: str, request: Any) -> Any:
    import msgspec

    from dhtstore.cli.running import session
    from dhtstore.cli.terminal.bar import progress_bar

    with ExitStack() as stack:
        watch = stack.enter_context(progress_bar(common))
        if path == "-":
            from dhtstore.cli.terminal.pipes import from_stdin

            pump = stack.enter_context(from_stdin())
            request = msgspec.structs.replace(request, kind="stream", name=request.name or "-")
            return session.run(common, session.Errand(request, [pump.give], watch, pump.start))
        descriptor, kind = _open(path)
        stack.callback(os.close, descriptor)
        name = request.name or os.fsencode(Path(path).resolve().name).decode(errors="replace")
        request = msgspec.structs.replace(request, kind=kind, name=name)
        return session.run(common, session.Errand(request, [descriptor], watch))


def _open(path: str) -> tuple[int, str]:
    """Open it here, with the caller's permissions; raises UnreadableSource."""
    import stat

    from dhtstore.errors import UnreadableSource

    try:
        # O_NONBLOCK: opening a FIFO must not wait for its other end
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableSource(f"cannot read {path}: {reason}") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        return descriptor, "directory"
    if stat.S_ISREG(mode):
        return descriptor, "file"
    os.close(descriptor)
    raise UnreadableSource(f"{path} is neither a file nor a directory; use - to put a stream")


def _report(common: Common, result: Any) -> None:
    from dhtstore.cli.terminal.show import emit, print_json, say

    if not result:
        return
    copies, wanted = result["replicas"], result["wanted"]
    if copies < wanted:
        say(common, f"{copies} of {wanted} copies")
        for node, cause in result["causes"].items():
            say(common, f"  {node}: {cause}")
    if common.json:
        print_json(result)
    else:
        emit(result["cid"])
