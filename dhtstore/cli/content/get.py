"""get: fetch a file or a directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from dhtstore.cli.terminal.common import Common, command


@command
def get(
    common: Common,
    cid: Annotated[str, typer.Argument(metavar="CID[/PATH]")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="PATH|-", help="Where to; - is stdout.")
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Tell which nodes were asked and why others were not.")
    ] = False,
    pin: Annotated[bool, typer.Option("--pin", help="Keep and announce it here too.")] = False,
) -> None:
    """Fetch CID from whoever holds it; every block is checked.

    Without -o into a file named after the CID (or the last name of PATH).  An interrupted get
    leaves PATH.part; the same command goes on from there.
    """
    from dhtstore.model.cid import parse_cid_path
    from dhtstore.wire.control import Request

    root, names = parse_cid_path(cid)
    target = "/".join([str(root), *names])
    if output == "-":
        from dhtstore.cli.content.cat import stream

        stream(common, target)
        return
    path = _target(output or (names[-1] if names else str(root)))
    request = Request("get", target=target, name=path.name, pin=pin)
    result = _send(common, path, request)
    _report(common, path, result)
    if explain:
        _explain(common, result)


def _target(output: str) -> Path:
    """Raises TargetUnusable for a directory that is not there, which a Path would not tell."""
    from dhtstore.errors import TargetUnusable

    if output.endswith("/") and not os.path.isdir(output):
        raise TargetUnusable(f"there is no directory {output}")
    return Path(output)


def _send(common: Common, path: Path, request: Any) -> Any:
    from dhtstore.cli.running import session
    from dhtstore.cli.terminal.bar import progress_bar

    directory = _open_directory(path)
    try:
        with progress_bar(common) as watch:
            return session.run(common, session.Errand(request, [directory], watch))
    finally:
        os.close(directory)


def _open_directory(path: Path) -> int:
    """The directory the target shall be in, checked before a byte moves; raises TargetUnusable."""
    from dhtstore.errors import TargetUnusable

    if path.name in ("", ".."):
        raise TargetUnusable(f"{path} is no name for a file")
    if os.path.lexists(path):
        raise TargetUnusable(f"{path} exists already")
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise TargetUnusable(f"cannot write into {path.parent}: {error.strerror}") from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        os.close(directory)
        raise TargetUnusable(f"cannot write into {path.parent}: Permission denied")
    return directory


def _report(common: Common, path: Path, result: Any) -> None:
    from dhtstore.cli.terminal.show import print_json, say
    from dhtstore.config import format_size

    if common.json:
        print_json({**result, "output": str(path)})
        return
    holders = len(result["holders"])
    source = f"{holders} holders" if holders else "the store here"
    say(common, f"{path}: {format_size(result['size'])} from {source}")


def _explain(common: Common, result: Any) -> None:
    from dhtstore.cli.terminal.show import say

    for node in result["holders"]:
        say(common, f"  {node}: asked for blocks")
    for node, cause in result["causes"].items():
        say(common, f"  {node}: {cause}")
