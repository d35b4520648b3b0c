"""id: who this node is."""

from __future__ import annotations

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import ABOUT_HOME


@command(
    ABOUT_HOME,
    examples=("dhtstore id",),
)
def identity(common: Common) -> None:
    """Show this node's id, keys, addresses and ticket."""
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import fields_of, print_fields, print_json
    from dhtstore.operations.nodes import IdentifyNode

    told = ask(common, IdentifyNode())
    if common.json:
        print_json(told)
        return
    print_fields(fields_of(told))
