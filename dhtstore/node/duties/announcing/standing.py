"""Whether announcing keeps up: how much is announced, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dhtstore.net.ports import Clock
from dhtstore.node.duties.announcing.line import KeyLine
from dhtstore.node.duties.announcing.teller import Teller
from dhtstore.node.warnings import Warnings
from dhtstore.operations.moment import Moment
from dhtstore.operations.nodes import AnnouncingStatus
from dhtstore.params import PROVIDER_TTL_S, REPROVIDE_INTERVAL_S

_LATE_S: Final = 2 * 3600.0  # after its time, before somebody is told
_WHAT: Final = "announcing"


@dataclass(frozen=True, slots=True)
class AnnouncedSoFar:
    """Of ``names`` that are kept, ``announced`` were taken by index nodes, the first of them
    ``oldest_s`` ago (None where none was); ``overdue`` should have been announced by now."""

    names: int
    announced: int
    overdue: int
    oldest_s: float | None
    keeps_up: bool


@dataclass(slots=True)
class AnnouncingStanding:
    """``since_s`` is when announcing began in this life, None before."""

    lines: Sequence[KeyLine]
    teller: Teller
    clock: Clock
    warnings: Warnings
    since_s: float | None = None

    def look(self) -> AnnouncedSoFar:
        """After a sweep: warn, or end the warning."""
        if self.since_s is None:
            self.since_s = self.clock.monotonic_s()
        told = self._now(self.since_s)
        if told.keeps_up:
            self.warnings.over(_WHAT)
        else:
            self.warnings.tell(_WHAT, _advice(told))
        return told

    def _now(self, since_s: float) -> AnnouncedSoFar:
        now, parts = self.clock.monotonic_s(), self._parts()
        never = sum(count for count, told_s, _ in parts if told_s is None)
        late = [(count, told_s) for count, told_s, due_s in parts if due_s + _LATE_S <= now]
        waiting = self.teller.retries.count() + len(self.teller.lacking)
        names = sum(count for count, _, _ in parts)
        told = [told_s for _, told_s, _ in parts if told_s is not None]
        begun = now - since_s <= REPROVIDE_INTERVAL_S  # the first cycle may still go on
        return AnnouncedSoFar(
            names,
            max(0, names - never - waiting),
            sum(count for count, _ in late),
            now - min(told) if told else None,
            all(told_s is None for _, told_s in late) if begun else not late,
        )

    def status(self) -> AnnouncingStatus | None:
        """As ``status`` tells it; it warns, or ends the warning."""
        if self.since_s is None:
            return None
        told = self.look()
        oldest_s = told.oldest_s
        return AnnouncingStatus(
            units=told.names,
            announced=told.announced,
            overdue=told.overdue,
            oldest=None if oldest_s is None else Moment.at(int(self.clock.unix_s() - oldest_s)),
            keeps_up=told.keeps_up,
        )

    def _parts(self) -> list[tuple[int, float | None, float]]:
        return [
            (count, line.progress.told_s(part), line.progress.due_s(part))
            for line in self.lines
            for part, count in line.counts.items()
        ]


def _advice(told: AnnouncedSoFar) -> str:
    hours = PROVIDER_TTL_S / 3600
    age = "never" if told.oldest_s is None else f"{told.oldest_s / 3600:.0f} h ago"
    return (
        f"announcing does not keep up: {told.overdue} of {told.names} units are late, the oldest "
        f"was announced {age}, and after {hours:.0f} h nobody finds them here: see whether peers "
        "answer (dhtstore peers), keep fewer units here, or spread them over more nodes"
    )
