"""The closed list of causes: what can stand between a user and the bytes, documented once.

``CAUSES`` is the table of docs/json.md.  Where an error is caught, ``cause_of`` finds its kind by
its class: this is the only place that does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from dhtstore import errors

TOLD_MAX_CHARS: Final = 200  # of a text that a peer may have written


class CauseKind(StrEnum):
    """What went wrong: one of a closed list."""

    NO_RECORDS = "no-records"
    NOBODY_ASKED = "nobody-asked"
    STALE = "stale"
    NO_ADDRESS = "no-address"
    DIAL_REFUSED = "dial-refused"
    DIAL_TIMEOUT = "dial-timeout"
    WRONG_NODE = "wrong-node"
    REFUSED = "refused"
    STALLED = "stalled"
    TOO_SLOW = "too-slow"
    LOST = "connection-lost"
    BROKE_RULES = "broke-rules"
    WRONG_BYTES = "wrong-bytes"
    MALFORMED = "malformed"
    UNITS_MISSING = "units-missing"
    CLOCK_OFF = "clock-off"
    OWN_DISK = "own-disk"
    OWN_LIMIT = "own-limit"
    DEADLINE = "deadline"
    INTERRUPTED = "interrupted"


class Cause(msgspec.Struct, frozen=True):
    """One thing that went wrong: its ``kind``, of the closed list; ``why`` as whoever noticed it
    put it; ``code`` the word of a holder that refused."""

    kind: CauseKind
    why: str = ""
    code: str = ""


class KindMeaning(msgspec.Struct, frozen=True):
    """What a kind means, whose fault it is, what to do about it, and the exit code of a command
    that it decides."""

    meaning: str
    fault: str
    advice: str
    exit_code: int


CAUSES: Final[dict[CauseKind, KindMeaning]] = {
    CauseKind.NO_RECORDS: KindMeaning(
        "nodes near the content answered, and none has a record of who provides it",
        "whoever put it, or the CID is wrong",
        "check the CID; if it was put recently, the node that put it may be offline",
        3,
    ),
    CauseKind.NOBODY_ASKED: KindMeaning(
        "no node could be asked who provides it",
        "this machine's network, or the seeds",
        "check this machine's connection, or give a node that runs with --seed TICKET",
        4,
    ),
    CauseKind.STALE: KindMeaning(
        "a record names the node, but it is out of time or the node says it lacks the blocks now",
        "the holder, which lost or dropped it",
        "whoever has the original can put it again; records of lost copies run out by themselves",
        3,
    ),
    CauseKind.NO_ADDRESS: KindMeaning(
        "nobody knows an address of the node",
        "the holder, which told none lately",
        "try again when it is online; `dhtstore ping NODE` tries it",
        4,
    ),
    CauseKind.DIAL_REFUSED: KindMeaning(
        "no node listens at the address, or no way leads there",
        "the holder is stopped, or its port is closed",
        "start that node again, or open its port; `dhtstore ping NODE` tries it",
        4,
    ),
    CauseKind.DIAL_TIMEOUT: KindMeaning(
        "nothing answered at the address in time",
        "the holder is off, or a firewall drops what is sent",
        "check that the node is on and no firewall stands between; `dhtstore ping NODE` tries it",
        4,
    ),
    CauseKind.WRONG_NODE: KindMeaning(
        "another key, another network or another version answers at the address",
        "another node took the address, or the versions differ",
        "another node has that address now: start the holder again, so that it tells its new one",
        4,
    ),
    CauseKind.REFUSED: KindMeaning(
        "the holder declined and said why (`code`)",
        "the holder's owner, or its load",
        "it said why; try again later, or ask whoever runs that node",
        4,
    ),
    CauseKind.STALLED: KindMeaning(
        "asked, it gave nothing more until its time was over",
        "the holder hangs, or the way to it is cut",
        "run the same command again to go on; if it stalls again, that node or its network hangs",
        4,
    ),
    CauseKind.TOO_SLOW: KindMeaning(
        "it gave less in its time than a holder has to",
        "the holder, or the way to it",
        "run the same command again: it goes on where it stopped",
        4,
    ),
    CauseKind.LOST: KindMeaning(
        "the connection ended before the answer came",
        "the holder stopped, or the way to it broke",
        "run the same command again to go on; the node may have stopped",
        4,
    ),
    CauseKind.BROKE_RULES: KindMeaning(
        "what it sent is against the protocol",
        "the holder's program",
        "that node may run another version; others are not affected",
        4,
    ),
    CauseKind.WRONG_BYTES: KindMeaning(
        "what it sent does not hash to its name; it is asked no more",
        "the holder's disk, or the holder lies",
        "whoever has the original can put it again, which mends damaged copies",
        5,
    ),
    CauseKind.MALFORMED: KindMeaning(
        "the content itself breaks the rules of its format",
        "whoever made the content",
        "the content itself is malformed; no holder can give a better copy",
        5,
    ),
    CauseKind.UNITS_MISSING: KindMeaning(
        "of the units that were looked for, only some have a holder",
        "the holders of the others are gone",
        "what came is kept for the next try; whoever has the original can put it again",
        3,
    ),
    CauseKind.CLOCK_OFF: KindMeaning(
        "it signs with a clock so far from ours that others would not believe it",
        "its clock, or ours",
        "set the clocks of both machines by a time server; `dhtstore status` compares ours",
        7,
    ),
    CauseKind.OWN_DISK: KindMeaning(
        "this machine's disk or quota took no more, or the place cannot be written",
        "this machine",
        "free disk space, or write elsewhere with -o",
        8,
    ),
    CauseKind.OWN_LIMIT: KindMeaning(
        "this node has as many connections as it may",
        "this machine",
        "try again when less is going on here",
        4,
    ),
    CauseKind.DEADLINE: KindMeaning(
        "--timeout was over; `doing` says what was under way",
        "the deadline",
        "run the same command again to go on, or give it longer with --timeout",
        6,
    ),
    CauseKind.INTERRUPTED: KindMeaning(
        "the command was ended by its user",
        "nobody",
        "run the same command again: it goes on where it stopped",
        130,
    ),
}

# The first that fits; what is nobody's cause is a defect of ours, or the caller's own fault.
_KINDS: Final[tuple[tuple[type[BaseException], CauseKind], ...]] = (
    (errors.NoAddress, CauseKind.NO_ADDRESS),
    (errors.DialRefused, CauseKind.DIAL_REFUSED),
    (errors.DialTimedOut, CauseKind.DIAL_TIMEOUT),
    (errors.Stalled, CauseKind.STALLED),
    (errors.TooSlow, CauseKind.TOO_SLOW),
    (errors.RulesBroken, CauseKind.BROKE_RULES),
    (errors.ConnectionLost, CauseKind.LOST),
    (errors.RefusedByNetwork, CauseKind.WRONG_NODE),
    (errors.PeerRefused, CauseKind.REFUSED),
    (errors.ClockOff, CauseKind.CLOCK_OFF),
    (errors.TooManyConnections, CauseKind.OWN_LIMIT),
    (errors.NoRoom, CauseKind.OWN_DISK),
    (errors.TargetUnusable, CauseKind.OWN_DISK),
    (errors.TimedOut, CauseKind.DEADLINE),
    (errors.Interrupted, CauseKind.INTERRUPTED),
    (errors.MalformedDag, CauseKind.MALFORMED),
    (errors.BlockMismatch, CauseKind.WRONG_BYTES),
    (errors.ProtocolError, CauseKind.BROKE_RULES),
    (errors.InvalidSignature, CauseKind.BROKE_RULES),
    (errors.IntegrityFailure, CauseKind.WRONG_BYTES),
    (errors.Unreachable, CauseKind.NOBODY_ASKED),
    (errors.NotFound, CauseKind.NO_RECORDS),
)


def kind_of(error: BaseException) -> CauseKind:
    """The kind of an error, by its class; ``BROKE_RULES`` of what no peer should make us raise."""
    return next((kind for type_, kind in _KINDS if isinstance(error, type_)), CauseKind.BROKE_RULES)


def cause_of(error: BaseException) -> Cause:
    """An error of a peer or of a dial as a cause; its text is bounded and printable."""
    return Cause(kind_of(error), clean(str(error)), clean(str(getattr(error, "code", ""))))


def clean(text: str) -> str:
    """A text that somebody else may have written: of a bounded length, on one line, nothing in it
    that could drive a terminal."""
    shown = text if len(text) <= TOLD_MAX_CHARS else f"{text[: TOLD_MAX_CHARS - 3]}..."
    if shown.isprintable():
        return shown
    return "".join(char if char.isprintable() else "?" for char in shown)
