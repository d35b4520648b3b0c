"""Exit codes: a contract that scripts depend on."""

from __future__ import annotations

from typing import Final

from dhtstore import errors

DONE: Final = 0
UNEXPECTED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it

EXITS: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (errors.UsageError, USAGE),
    (errors.NotFound, 3),
    (errors.BlockMissing, 3),
    (errors.Unreachable, 4),
    (errors.ConnectionLost, 4),
    (errors.IntegrityFailure, 5),
    (errors.TimedOut, 6),
    (errors.QuorumNotReached, 7),
    (errors.NoRoom, 8),
    (errors.NotRunning, 9),
    (errors.RefusedByNetwork, 10),
    (errors.PartlyStored, 11),
    (errors.Interrupted, INTERRUPTED),
    (KeyboardInterrupt, INTERRUPTED),
)

MEANINGS: Final[dict[int, str]] = {
    DONE: "done",
    UNEXPECTED: "unexpected",
    USAGE: "usage",
    3: "not found (nobody provides it)",
    4: "nobody answered who was asked for it",
    5: "integrity failure",
    6: "timed out",
    7: "fewer copies than must be reached: of a put 2, or what --min-acks says; of what a node that"
    " leaves holds, as many as are wanted of it",
    8: "no room here",
    9: "no node running here",
    10: "refused by the network",
    11: "stored but not all: entries were skipped",
    INTERRUPTED: "interrupted",
}

HELP: Final = f"Exit codes: {', '.join(f'{code} {told}' for code, told in MEANINGS.items())}."


def exit_code(error: BaseException) -> int:
    """The code for an error; 1 for those the table does not name."""
    return next((code for kind, code in EXITS if isinstance(error, kind)), UNEXPECTED)
