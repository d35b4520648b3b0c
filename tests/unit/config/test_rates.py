"""Limits as people write them, and what they say at which time."""

from __future__ import annotations

import pytest

from dhtstore.config.rates import NO_LIMIT, rate_schedule

MONDAY, FRIDAY, SATURDAY, SUNDAY = 0, 4, 5, 6
NIGHTS = "5MB/s, 22:00-06:00 unlimited, sat-sun 09:00-12:00 200kB/s"


def test_one_rate_counts_always() -> None:
    schedule = rate_schedule("5 MB/s".replace(" ", ""))
    assert (schedule.at(MONDAY, 0), schedule.at(SUNDAY, 1439)) == (5_000_000, 5_000_000)
    assert not schedule.changes


@pytest.mark.parametrize("text", ["unlimited", "none", "Unlimited"])
def test_no_limit_has_names(text: str) -> None:
    assert rate_schedule(text).at(MONDAY, 0) is None
    assert NO_LIMIT.at(MONDAY, 0) is None


@pytest.mark.parametrize(
    ("day", "time", "limit"),
    [
        (MONDAY, (21, 59), 5_000_000),
        (MONDAY, (22, 0), None),
        (MONDAY, (5, 59), None),
        (MONDAY, (6, 0), 5_000_000),
        (SATURDAY, (9, 0), 200_000),
        (SATURDAY, (12, 0), 5_000_000),
        (FRIDAY, (9, 0), 5_000_000),
    ],
)
def test_the_last_part_that_fits_counts(day: int, time: tuple[int, int], limit: int | None) -> None:
    assert rate_schedule(NIGHTS).at(day, time[0] * 60 + time[1]) == limit


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    schedule = rate_schedule("1MB/s, sun 22:00-06:00 unlimited")
    assert schedule.at(SUNDAY, 23 * 60) is None
    assert schedule.at(MONDAY, 5 * 60) is None
    assert schedule.at(SUNDAY, 5 * 60) == 1_000_000
    assert schedule.at(MONDAY, 23 * 60) == 1_000_000


def test_days_go_round_the_week_and_a_whole_day_is_24_hours() -> None:
    schedule = rate_schedule("1MB/s, fri-mon 00:00-24:00 2MB/s")
    assert [schedule.at(day, 1439) for day in range(7)] == [
        2_000_000, 1_000_000, 1_000_000, 1_000_000, 2_000_000, 2_000_000, 2_000_000,
    ]  # fmt: skip


def test_what_is_written_is_read_back() -> None:
    assert rate_schedule(str(rate_schedule(NIGHTS))) == rate_schedule(NIGHTS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0", "0 would let nothing through; for no limit write 'unlimited'"),
        ("0MB/s", "0 would let nothing through"),
        ("5MB", "'5MB' is not a limit such as 5MB/s"),
        ("fast", "'fast' is not a limit such as"),
        ("", "'' is not a limit such as"),
        ("10kB/s", "10kB/s is too little: below 100.0 kB/s a node looks stalled"),
        ("-5MB/s", "'-5MB/s' is not a limit"),
        (
            "5MB/s, 22:00-6 unlimited",
            "part 2, '22:00-6 unlimited': '6' is not a time such as 06:00",
        ),
        ("5MB/s, 22:00 unlimited", "part 2, '22:00 unlimited': '22:00' is not HH:MM-HH:MM"),
        ("5MB/s, 25:00-26:00 1MB/s", "'25:00' is not a time"),
        ("5MB/s, 10:00-10:00 1MB/s", "a whole day is 00:00-24:00"),
        ("5MB/s, someday 1MB/s", "'someday' is neither a day (mon,"),
        ("5MB/s, mon 10:00-11:00 twice 1MB/s", "'twice' is too much"),
        (5, "5 is not a limit"),
        (", ".join(["1MB/s"] * 65), "more than 64 parts"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: object, told: str) -> None:
    with pytest.raises(ValueError) as error:
        rate_schedule(text)
    assert told in str(error.value)
