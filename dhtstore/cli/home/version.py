"""version: which dhtstore this is."""

from __future__ import annotations

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import JSON


@command(
    (JSON,),
    examples=(
        "dhtstore version",
        "dhtstore version --json",
    ),
)
def version(common: Common) -> None:
    """Print the version of this command and of the protocol it speaks."""
    import platform

    from dhtstore import __version__
    from dhtstore.cli.terminal.show import emit, print_json
    from dhtstore.params import PROTOCOL_VERSION

    if common.json:
        from dhtstore.cli.results import Version

        print_json(Version(__version__, PROTOCOL_VERSION, platform.python_version()))
        return
    emit(f"dhtstore {__version__} (protocol {PROTOCOL_VERSION})")
