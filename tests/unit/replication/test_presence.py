"""For which share of the time a node is there, as another one saw it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.params import (
    ABSENCE_SEEN_S,
    DAY_S,
    PRESENCE_GUESS,
    PRESENCE_LOOK_S,
    PRESENCE_REMEMBERED_S,
)
from dhtstore.replication.presence import Presence

HOUR_S = 3600.0


def seen(*heard_h: float) -> Presence:
    """First met at 0, heard again after so many hours."""
    presence = Presence()
    for each in heard_h:
        presence = presence.heard(each * HOUR_S)
    return presence


def always(hours: int) -> Presence:
    return seen(*range(1, hours + 1))


def test_nothing_is_known_of_one_that_was_just_met() -> None:
    assert Presence().share == PRESENCE_GUESS
    assert str(Presence()) == "hardly known here"


def test_the_longer_it_is_there_the_likelier_it_stays() -> None:
    shares = [always(hours).share for hours in (1, 12, 48, 200)]
    assert shares == sorted(shares)
    assert shares[0] < 0.8
    assert shares[-1] > 0.97


def test_one_that_is_away_half_of_the_time_is_told_from_one_that_is_always_there() -> None:
    half = seen(*(hour for hour in range(1, 96) if hour // 6 % 2))
    assert 0.45 < half.share < 0.55
    assert str(half) == "there for 42 % of 4 days"
    assert str(always(96)) == "there for 100 % of 4 days"


def test_a_gap_that_an_hourly_look_explains_is_no_absence() -> None:
    assert PRESENCE_LOOK_S < ABSENCE_SEEN_S
    assert seen(1.2, 2.5).away_s == 0
    assert seen(1, 4).away_s == 3 * HOUR_S


def test_what_is_older_than_what_is_known_changes_nothing() -> None:
    assert always(5).heard(3 * HOUR_S) == always(5)


@given(st.lists(st.floats(0, 100 * DAY_S), max_size=60))
def test_a_share_is_one_and_what_is_remembered_is_bounded(heard_s: list[float]) -> None:
    presence = Presence()
    for each in sorted(heard_s):
        presence = presence.heard(each)
    assert 0 < presence.share < 1
    assert presence.watched_s <= max(PRESENCE_REMEMBERED_S, 50 * DAY_S)
    assert min(presence.there_s, presence.away_s) >= 0


@pytest.mark.parametrize("away_h", [4.0, 24.0])
def test_an_absence_long_ago_counts_for_less(away_h: float) -> None:
    before = seen(1, 1 + away_h)
    later = before
    for hour in range(1, 60 * 24):
        later = later.heard(before.heard_s + hour * HOUR_S)
    assert later.share > 0.97
