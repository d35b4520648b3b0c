"""What one node saw of another: when it answered, for how long it was silent, how long it was away
before.  From that the grace of a peer is learned: how long it may be silent before its copies are
taken for lost.

Silence counts only as it was observed: a node that was off itself, or whose own line was down, saw
nothing, and of a gap between two questions only a part counts.  The rest was not watched at all: it
makes nobody steady.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from dhtstore.params import (
    ABSENCES_KNOWN_MIN,
    ABSENCES_REMEMBERED,
    GRACE_FACTOR,
    PRESENCE_REMEMBERED_S,
    STEADY_AWAY_MAX,
)
from dhtstore.replication.health.periods import Periods

_MOMENT_S: Final = 1e-3


@dataclass(frozen=True, slots=True)
class PeerPast:
    """Times are of the wall clock of who watches.  ``silent_s`` is 0 while the peer answers;
    ``asked_unix_s`` is when it was asked last, in vain or not; ``away_s`` are its last absences,
    and ``absent_s`` is how long all that are over lasted together, where what is long ago counts
    for less.  Of the time since it is known ``unwatched_s`` passed unseen."""

    known_unix_s: float
    heard_unix_s: float
    asked_unix_s: float
    silent_s: float = 0.0
    away_s: tuple[float, ...] = ()
    absent_s: float = 0.0
    unwatched_s: float = 0.0

    @classmethod
    def met(cls, now_unix_s: float) -> PeerPast:
        """It is heard of for the first time: taken for alive until it is asked."""
        return cls(now_unix_s, now_unix_s, now_unix_s)

    def answered(self, now_unix_s: float, gap_max_s: float) -> PeerPast:
        """It answers: an absence, if there was one, is over and remembered."""
        asked = self._asked(now_unix_s, gap_max_s)
        after_met_unix_s = asked.known_unix_s + _MOMENT_S  # however fast, whatever the clock did
        heard = replace(asked, heard_unix_s=max(now_unix_s, after_met_unix_s))
        if not self.silent_s:
            return heard
        away_s = (*self.away_s, self.silent_s)[-ABSENCES_REMEMBERED:]
        absent_s = self.absent_s + self.silent_s
        return replace(heard, silent_s=0.0, away_s=away_s, absent_s=absent_s)

    def silent(self, now_unix_s: float, gap_max_s: float) -> PeerPast:
        """It was asked and did not answer, though others did."""
        gap_s = observed_s(self.asked_unix_s, now_unix_s, gap_max_s)
        return replace(self._asked(now_unix_s, gap_max_s), silent_s=self.silent_s + gap_s)

    def unseen(self, now_unix_s: float) -> PeerPast:
        """Nobody could be asked: what passed until now says nothing of it."""
        return self._asked(now_unix_s, 0.0)

    def _asked(self, now_unix_s: float, gap_max_s: float) -> PeerPast:
        """Where the clock was set back, all that is known was earlier by as much."""
        back_s = max(0.0, self.asked_unix_s - now_unix_s)
        passed_s = max(0.0, now_unix_s - self.asked_unix_s - gap_max_s)
        asked = replace(
            self,
            known_unix_s=self.known_unix_s - back_s,
            heard_unix_s=self.heard_unix_s - back_s,
            asked_unix_s=now_unix_s,
            unwatched_s=self.unwatched_s + passed_s,
        )
        halved = _halved(asked.looked_s) - _halved(self.looked_s)
        return replace(asked, absent_s=self.absent_s / 2.0**halved) if halved > 0 else asked

    def weighed(self) -> PeerPast:
        """The same where ``absent_s`` was counted in full, as if it had been so at all times."""
        looked_s = self.looked_s
        part = self._weighed_s / looked_s if looked_s else 1.0
        return replace(self, absent_s=part * self.absent_s)

    def grace_s(self, periods: Periods) -> float:
        """For how long it may be silent: a few times its longest absence of late, which is little
        for who is steady; what is usual while too little is known of it."""
        longest_s = max(GRACE_FACTOR * max(self.away_s, default=0.0), periods.grace_min_s)
        if len(self.away_s) >= ABSENCES_KNOWN_MIN:
            return min(longest_s, periods.grace_max_s)
        if self._steady(periods):
            return min(longest_s, periods.grace_first_s)
        return periods.grace_first_s

    def _steady(self, periods: Periods) -> bool:
        """Whether it was watched for long and hardly ever away, as a server that is restarted."""
        seen_s = self._weighed_s - self.silent_s
        return self.watched_s >= periods.watched_s and self.absent_s <= STEADY_AWAY_MAX * seen_s

    @property
    def ever_answered(self) -> bool:
        return self.heard_unix_s > self.known_unix_s

    @property
    def watched_s(self) -> float:
        """Until it was heard last."""
        return max(0.0, self.heard_unix_s - self.known_unix_s - self.unwatched_s)

    @property
    def looked_s(self) -> float:
        """For how long it was watched until it was asked last."""
        return max(0.0, self.asked_unix_s - self.known_unix_s - self.unwatched_s)

    @property
    def there_share(self) -> float:
        """Of the time for which it was watched, until it was asked last."""
        seen_s = self._seen_away_s
        return 1.0 if seen_s <= 0 else max(0.0, 1 - seen_s / max(seen_s, self._weighed_s))

    def expected_away(self, periods: Periods) -> float:
        """The share of the time, 0 to 1, for which it will be away: ``away_share`` of what was
        seen until it was asked last.  Who is silent is likely to be so for as long again: long
        absences are those that one finds somebody in."""
        yet_s = self.silent_s
        return away_share(self._seen_away_s + yet_s, self._weighed_s + yet_s, periods)

    @property
    def _seen_away_s(self) -> float:
        return self.absent_s + self.silent_s

    @property
    def _weighed_s(self) -> float:
        """``looked_s``, where what is long ago counts for as much less as in ``absent_s``."""
        return self.looked_s - _halved(self.looked_s) * PRESENCE_REMEMBERED_S / 2


def _halved(looked_s: float) -> int:
    """How often all that was seen before counted half from then on."""
    return max(0, int(2 * looked_s / PRESENCE_REMEMBERED_S) - 1)


def away_share(away_s: float, of_s: float, periods: Periods) -> float:
    """What to expect of who was away for ``away_s`` of ``of_s``: held against a guess that it is
    always there, so that little seen tells little, and no time is too short to be told."""
    away_s = max(0.0, away_s)
    return away_s / (max(away_s, of_s) + periods.always_there_guess_s)


def observed_s(before_unix_s: float, now_unix_s: float, gap_max_s: float) -> float:
    """What of the time between two looks counts as seen; never nothing, whatever the clock did."""
    return min(max(_MOMENT_S, now_unix_s - before_unix_s), gap_max_s)
