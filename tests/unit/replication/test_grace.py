"""For how long a peer may be silent before its copies count as lost."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.health.periods import USUAL_PERIODS as PERIODS

HOUR_S = 3600.0


def lived(days: int, off: Iterable[int]) -> PeerPast:
    """Asked once an hour for so long, and silent in the hours that are ``off``."""
    past, silent = PeerPast.met(0.0), frozenset(off)
    for hour in range(1, 24 * days + 1):
        look = past.silent if hour in silent else past.answered
        past = look(hour * HOUR_S, PERIODS.gap_max_s)
    return past


@pytest.mark.parametrize(
    ("days", "off", "grace_h"),
    [
        (1, (), 8),
        (30, (), 8),
        (30, (200, 500), 8),  # two restarts
        (30, (200, 201, 202, 500), 12),  # one of them took three hours
        (2, (30,), 36),  # too often by what is known yet
        (30, [day * 24 + hour for day in range(30) for hour in range(8)], 32),  # off each night
        (8, [day * 24 + hour for day in range(8) for hour in range(8)], 36),  # of fewer nights
        (30, range(100, 112), 36),  # half a day, once
    ],
)
def test_by_what_was_seen_of_it(days: int, off: Iterable[int], grace_h: float) -> None:
    past = lived(days, off)
    assert past.grace_s(PERIODS) == pytest.approx(grace_h * HOUR_S)
    again = past.silent(past.asked_unix_s + HOUR_S, PERIODS.gap_max_s)
    assert again.grace_s(PERIODS) == past.grace_s(PERIODS), "its silence makes nobody steady"


def test_who_was_watched_for_less_than_a_day_may_be_silent_for_long() -> None:
    past = lived(1, ())
    early = PeerPast(past.known_unix_s + HOUR_S, past.heard_unix_s, past.asked_unix_s)
    assert early.grace_s(PERIODS) == PERIODS.grace_first_s
