"""``python -m simulations``: run, sweep, branch, list, replay, compare, report, validate, explore,
reference.

Results on stdout, progress on stderr.  Exit codes: 0 well, 1 a checker found something, a service
level or what a scenario asks was violated or two runs differ, 2 what was asked cannot be done, 130
interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from simulations.errors import INTERRUPTED, NO_ROOM, ScenarioError, SimulationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print; returns the exit code."""
    try:
        chosen = parser().parse_args(arguments)
        code: int = chosen.do(chosen)
    except ScenarioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except SimulationError as error:
        print(f"the run failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if not _is_out_of_room(error):
            raise
        print(
            "error: no room is left where this writes: make some, and run it again", file=sys.stderr
        )
        return 1
    return code


def _is_out_of_room(error: BaseException | None) -> bool:
    """Whether a full disk, or a limit of file sizes, is what it comes from."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        error = error.__cause__ or error.__context__
    return False


def parser() -> argparse.ArgumentParser:
    """Of all commands; ``do`` is the chosen one."""
    # Here, for it takes a while in which people interrupt, and that is told where ``main`` is.
    from simulations.commands import (
        explore,
        listing,
        reading,
        reference,
        replay,
        run,
        several,
        validate,
    )

    parser = argparse.ArgumentParser(prog="python -m simulations", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (run, several, listing, replay, reading, validate, explore, reference):
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
