"""``python -m dhtstore`` and the installed ``dhtstore``: the command, from its first import on."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process; whoever interrupts it before it has begun is told no
    more than any command tells then."""
    try:
        from dhtstore.cli.main import main as command

        command()
    except KeyboardInterrupt:
        from dhtstore.cli.exits import INTERRUPTED

        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
