"""What was seen of a peer long ago counts for less than what it does now."""

from __future__ import annotations

import pytest

from dhtstore.params import DAY_S, YEAR_S
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.health.periods import USUAL_PERIODS as PERIODS

HOUR_S = 3600.0


def lived(past: PeerPast, for_s: float, *, away_of_8: int) -> PeerPast:
    """Looked at once an hour for so long, and silent so many hours of each eight."""
    begin_s = past.asked_unix_s
    for hour in range(1, round(for_s / HOUR_S) + 1):
        look = past.silent if hour % 8 < away_of_8 else past.answered
        past = look(begin_s + hour * HOUR_S, PERIODS.gap_max_s)
    return past


@pytest.mark.parametrize(("before", "after"), [(0, 4), (4, 0), (1, 6), (6, 1)])
def test_a_machine_that_has_changed_is_known_for_it_within_two_months(
    before: int, after: int
) -> None:
    past = lived(PeerPast.met(0.0), YEAR_S, away_of_8=before)
    assert past.there_share == pytest.approx(1 - before / 8, abs=0.02)
    past = lived(past, 60 * DAY_S, away_of_8=after)
    assert past.expected_away(PERIODS) == pytest.approx(after / 8, abs=0.15)


def test_what_never_changes_is_seen_the_same_for_ever() -> None:
    past = PeerPast.met(0.0)
    for _ in range(100):
        past = lived(past, 7 * DAY_S, away_of_8=2)
        assert past.there_share == pytest.approx(3 / 4, abs=0.01)
