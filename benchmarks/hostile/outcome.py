"""What was seen of one attack, as figures."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GOOD_X: Final = 3.0  # of the quiet median: what counts as recovered


@dataclass(frozen=True, slots=True)
class Command:
    """One put or get of the honest user; ``error`` is "" if it did what it should."""

    what: str
    started_s: float
    ended_s: float
    error: str

    @property
    def took_s(self) -> float:
        return self.ended_s - self.started_s


@dataclass(frozen=True, slots=True)
class Outcome:
    """Times are monotonic seconds; ``claims`` are the bytes (the honest user's, strangers') that
    claims account for, of the ``stored_bytes`` on the disk of the node; ``share_bytes`` are what
    strangers that are new there may take together."""

    attack: str
    commands: tuple[Command, ...]
    began_s: float
    ended_s: float
    memory_bytes: int
    quiet_memory_bytes: int
    stall_ms: float
    quiet_stall_ms: float
    stored_bytes: int
    claims: tuple[int, int]
    share_bytes: int
    attacker_cores: float

    @property
    def during(self) -> list[Command]:
        """Those that met the attack."""
        return [c for c in self.commands if c.ended_s > self.began_s and c.started_s < self.ended_s]

    @property
    def success_percent(self) -> float:
        good = sum(not command.error for command in self.during)
        return 100 * good / max(len(self.during), 1)

    def slowness(self, what: str) -> float:
        """The median under attack in x of the quiet one; those that failed took as long as they
        took.  Infinite where none came to an end."""
        under = [command.took_s for command in self.during if command.what == what]
        return (
            statistics.median(under) / quiet_s(self.commands, what, self.began_s)
            if under
            else float("inf")
        )

    @property
    def recovery_s(self) -> float:
        found = recovery_s(self.commands, self.began_s, self.ended_s)
        return float("inf") if found is None else found

    @property
    def unexplained_bytes(self) -> int:
        """What no claim at all explains: 0 is due, beside what the store's own files take."""
        return max(0, self.stored_bytes - sum(self.claims))


def quiet_s(commands: Sequence[Command], what: str, until_s: float) -> float:
    """The median before the attack, without the first, which warms up."""
    took = [c.took_s for c in commands if c.what == what and c.ended_s <= until_s and not c.error]
    return statistics.median(took[1:] or took or [float("inf")])


def recovery_s(commands: Sequence[Command], began_s: float, ended_s: float) -> float | None:
    """How long after the attack the first put began that succeeded, and its get, as fast as the
    figure asks; None if none did yet."""
    after = [command for command in commands if command.started_s >= ended_s]
    for put, get in itertools.pairwise(after):
        pair = (put.what, get.what) == ("put", "get")
        limits = [GOOD_X * quiet_s(commands, each.what, began_s) for each in (put, get)]
        fast = put.took_s <= limits[0] and get.took_s <= limits[1]
        if pair and fast and not put.error and not get.error:
            return put.started_s - ended_s
    return None
