"""What a holder's word buys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.params import (
    GIB,
    MIB,
    PACED_BLOCK_BYTES,
    RATE_MIN_BYTES_PER_S,
    UNIT_SIZE_MAX_BYTES,
    VERIFY_RATE_MIN_BYTES_PER_S,
)
from dhtstore.transfer.pace import CopyCredit, Pace

SILENCE_S = 30.0


def waited_s(size_bytes: int, told: list[int], sent: list[int]) -> float:
    """Until when somebody is waited for that tells such sizes, each at the last moment."""
    sent_bytes = 0
    credit = CopyCredit(size_bytes, lambda: sent_bytes)
    pace = Pace(0.0, SILENCE_S)
    for held_bytes, more_bytes in zip(told, sent, strict=True):
        sent_bytes += more_bytes
        pace.delivered(credit.of(held_bytes), pace.ends_s)
    return pace.ends_s


def test_what_was_sent_counts_in_full_and_the_rest_as_reading() -> None:
    sent_bytes = 0
    credit = CopyCredit(8 * MIB, lambda: sent_bytes)
    ratio = VERIFY_RATE_MIN_BYTES_PER_S // RATE_MIN_BYTES_PER_S
    assert credit.of(MIB) == MIB // ratio
    sent_bytes = MIB
    assert credit.of(MIB) == MIB - MIB // ratio
    assert credit.of(MIB) == 0
    assert credit.of(GIB) == 7 * MIB // ratio


def test_small_blocks_count_as_more_than_their_bytes() -> None:
    credit = CopyCredit(64_000, lambda: 0, blocks=1000)
    worth = credit.of(64_000)
    took_s = worth / RATE_MIN_BYTES_PER_S
    assert took_s == pytest.approx(1000 * (64 + PACED_BLOCK_BYTES) / (4 * MIB), rel=0.01)


@pytest.mark.parametrize("step_bytes", [1, 4096, MIB, GIB])
def test_who_was_sent_nothing_is_waited_for_as_long_as_reading_takes(step_bytes: int) -> None:
    size_bytes = UNIT_SIZE_MAX_BYTES
    told = [step_bytes * number for number in range(1, 2000)]
    limit_s = SILENCE_S + size_bytes / VERIFY_RATE_MIN_BYTES_PER_S
    assert waited_s(size_bytes, told, [0] * len(told)) <= limit_s


@given(
    st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 4 * MIB)), max_size=50),
    st.integers(1, UNIT_SIZE_MAX_BYTES),
)
def test_nothing_buys_more_than_the_unit_and_what_was_sent_of_it(
    steps: list[tuple[int, int]], size_bytes: int
) -> None:
    told, sent = [held for held, _ in steps], [more for _, more in steps]
    moved_bytes = min(size_bytes, sum(sent))
    limit_s = moved_bytes / RATE_MIN_BYTES_PER_S
    limit_s += size_bytes / VERIFY_RATE_MIN_BYTES_PER_S
    assert waited_s(size_bytes, told, sent) <= SILENCE_S + limit_s + 1e-6
