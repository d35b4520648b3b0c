"""For which share of the time another node was there, as this one saw it; pure.

Sessions of machines are long or short (Weibull distributed with a shape below 1): who has been
there for long most likely stays.  So what was seen is held against a neutral guess that weighs as
much as PRESENCE_GUESS_S of watching: a newcomer is neither trusted nor shunned, and each hour of
being there tells more for it.

All times are on the scale of the watcher's own watching, which stands still while it is off or
hears nobody: its own absences are nobody else's, and no clock that is set makes any.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dhtstore.config import format_duration
from dhtstore.params import (
    ABSENCE_SEEN_S,
    PRESENCE_GUESS,
    PRESENCE_GUESS_S,
    PRESENCE_REMEMBERED_S,
)


@dataclass(frozen=True, slots=True)
class Presence:
    """``heard_s`` is when it answered last; until then it was there for ``there_s`` and away for
    ``away_s`` since it is known."""

    heard_s: float = 0.0
    there_s: float = 0.0
    away_s: float = 0.0

    def heard(self, at_s: float) -> Presence:
        """It answered then.  Who is there is heard at least every ABSENCE_SEEN_S."""
        gap_s = at_s - self.heard_s
        if gap_s <= 0:
            return self
        away = gap_s > ABSENCE_SEEN_S
        there_s = self.there_s + gap_s * (not away)
        return _remembered(Presence(at_s, there_s, self.away_s + gap_s * away))

    @property
    def watched_s(self) -> float:
        return self.there_s + self.away_s

    @property
    def share(self) -> float:
        """Expected, of the time: 0 to 1."""
        guessed_s = PRESENCE_GUESS * PRESENCE_GUESS_S
        return (self.there_s + guessed_s) / (self.watched_s + PRESENCE_GUESS_S)

    def __str__(self) -> str:
        """For people."""
        if self.watched_s < ABSENCE_SEEN_S:
            return "hardly known here"
        there = round(100 * self.there_s / self.watched_s)
        return f"there for {there} % of {format_duration(self.watched_s)}"


def _remembered(presence: Presence) -> Presence:
    """What is long ago counts for less."""
    if presence.watched_s <= PRESENCE_REMEMBERED_S:
        return presence
    return replace(presence, there_s=presence.there_s / 2, away_s=presence.away_s / 2)
