"""stat: what a CID is."""

from __future__ import annotations

from typing import Any

from dhtstore.cli.naming.arguments import Content
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING


@command(
    VISITING,
    examples=(
        "dhtstore stat bafybei...",
        "dhtstore stat bafybei.../2024/beach.jpg --json",
    ),
)
def stat(common: Common, cid: Content) -> None:
    """Tell what a CID is: its type, its sizes, its unit.

    Size is the content of a file; dag_size is all blocks below CID, as its links claim them.
    """
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import fields_of, print_fields, print_json
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.content import DescribeContent

    found = ask(common, DescribeContent(target=as_one_spelling(cid)))
    if common.json:
        print_json(found)
        return
    print_fields(_labelled(fields_of(found)))


def _labelled(fields: dict[str, Any]) -> dict[str, object]:
    """The content of a directory is not known without a walk through all of it."""
    known = [name for name in fields if name != "size" or fields[name] is not None]
    return {name: fields[name] for name in known}
