"""When blocks are verified again."""

from __future__ import annotations

import random

from dhtstore.model.cid import Cid
from dhtstore.params import (
    DAY_S,
    SCRUB_EVERY_S,
    SCRUB_PAUSE_MAX_S,
    SCRUB_RATE_MAX_BYTES_PER_S,
    SCRUB_SHARE,
    SCRUB_STEP_BYTES,
)
from dhtstore.replication.scrubbing import ScrubPass, whole_pass

NOW = 1_800_000_000.0
TB = 10**12


def days_of_a_pass(stored_bytes: int, away_days: float = 0.0) -> float:
    """How long one takes whose reads take no time, of which the node was away."""
    scrub, now, read, rng = ScrubPass().begun(NOW), NOW, 0, random.Random(1)
    while read < stored_bytes:
        read += stored_bytes // 1000
        digest = int(read / stored_bytes * 2**32 - 1).to_bytes(4, "big") + rng.randbytes(28)
        scrub = scrub.advanced(b"\x12\x20" + digest)
        step_s = scrub.pause_s(now, SCRUB_STEP_BYTES, 0.0, stored_bytes)
        now += step_s * stored_bytes / 1000 / SCRUB_STEP_BYTES
        if away_days and read > stored_bytes / 3:
            now, away_days = now + away_days * DAY_S, 0.0
    return (now - NOW) / DAY_S


def test_a_pass_is_spread_and_ends_within_thirty_days() -> None:
    assert 15 < days_of_a_pass(TB) < 26
    assert 20 < days_of_a_pass(TB, away_days=10) < 26
    assert days_of_a_pass(15 * TB) < 30


def test_of_a_small_store_little_is_left_after_a_day() -> None:
    scrub = ScrubPass().begun(NOW).advanced(Cid.of(b"x").multihash)
    assert scrub.pause_s(NOW, SCRUB_STEP_BYTES, 0.0, 10**7) == SCRUB_PAUSE_MAX_S


def test_it_is_no_faster_than_the_rate_nor_takes_more_than_its_share() -> None:
    late = ScrubPass(0).begun(1.0).advanced(b"\x12\x20" + bytes(32))
    least_s = late.pause_s(NOW, SCRUB_STEP_BYTES, 0.0, TB)
    assert least_s == SCRUB_STEP_BYTES / SCRUB_RATE_MAX_BYTES_PER_S
    busy_s = late.pause_s(NOW, SCRUB_STEP_BYTES, 2.0, TB)
    assert 2.0 / (2.0 + busy_s) <= SCRUB_SHARE + 1e-9


def test_passes_follow_each_other_and_a_clock_set_back_stops_none() -> None:
    scrub = ScrubPass()
    assert scrub.due_in_s(NOW) == 0
    scrub = scrub.begun(NOW)
    assert scrub.due_in_s(NOW + 1) == 0
    assert scrub.advanced(b"a").begun(NOW + 5) == scrub.advanced(b"a")
    over = scrub.advanced(b"a").ended()
    assert (over.over, over.at, over.whole_unix_s) == (True, b"", int(NOW))
    assert over.due_in_s(NOW + DAY_S) == SCRUB_EVERY_S - DAY_S
    assert over.due_in_s(NOW - DAY_S) == 0
    again = over.begun(NOW + SCRUB_EVERY_S)
    assert (again.at, again.over, again.whole_unix_s) == (b"", False, int(NOW))
    assert whole_pass(NOW) == over
