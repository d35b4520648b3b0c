"""Sequence numbers rise whatever the clock does, over restarts too."""

from __future__ import annotations

from dhtstore.node.sequences import Sequences
from dhtstore.params import SEQUENCES_RESERVED

NOW = 1_800_000_000


def test_a_number_is_the_time_where_that_is_new() -> None:
    sequences = Sequences()
    assert sequences.next(NOW) == NOW
    assert sequences.next(NOW + 5) == NOW + 5


def test_numbers_rise_within_a_second_and_when_the_clock_goes_back() -> None:
    sequences = Sequences()
    given = [sequences.next(now) for now in (NOW, NOW, NOW - 86_400, NOW + 1, NOW + 9)]
    assert given == [NOW, NOW + 1, NOW + 2, NOW + 3, NOW + 9]


def test_a_crash_gives_no_number_twice() -> None:
    first = Sequences()
    written = first.reserve(NOW)
    given = [first.next(NOW + second) for second in range(1000)]
    assert written is not None
    assert written > max(given)
    second = Sequences()
    second.used(written)
    assert second.next(NOW - 86_400) > max(given)


def test_writing_is_asked_for_seldom_and_in_time() -> None:
    sequences, writes, reserved = Sequences(), 0, 0
    for now in range(NOW, NOW + 10 * SEQUENCES_RESERVED, SEQUENCES_RESERVED // 4):
        written = sequences.reserve(now)
        writes += written is not None
        sequences.reserved = reserved = reserved if written is None else written
        assert sequences.next(now) < reserved
    assert writes <= 21


def test_what_was_not_written_is_asked_for_again() -> None:
    sequences = Sequences()
    assert sequences.reserve(NOW) == sequences.reserve(NOW) == NOW + SEQUENCES_RESERVED


def test_what_was_not_used_is_free_again() -> None:
    sequences = Sequences()
    sequences.reserved = NOW + SEQUENCES_RESERVED
    assert sequences.next(NOW) == sequences.last == NOW
