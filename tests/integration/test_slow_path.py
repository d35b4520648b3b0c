"""What the path of the benchmark slow-path does to packets."""

from __future__ import annotations

import random

import pytest

from benchmarks.slow_path.way import MBIT, PathShape, Way

PACKET_BYTES = 1500


def test_packets_leave_at_the_rate_of_the_line_after_its_delay() -> None:
    way = Way(PathShape(loss=0.0), random.Random(1))
    dues = [way.take(PACKET_BYTES, 0.0) for _ in range(100)]
    assert dues[0] == pytest.approx(0.025 + PACKET_BYTES / (100 * MBIT))
    last_s = dues[-1]
    assert last_s is not None
    assert last_s - 0.025 == pytest.approx(100 * PACKET_BYTES / (100 * MBIT))


def test_what_would_wait_too_long_is_dropped() -> None:
    way = Way(PathShape(loss=0.0), random.Random(1))
    came = sum(way.take(PACKET_BYTES, 0.0) is not None for _ in range(2000))
    assert came * PACKET_BYTES == pytest.approx(0.1 * 100 * MBIT, rel=0.01)
    assert way.dropped == 2000 - came


def test_one_packet_of_a_hundred_is_lost() -> None:
    way = Way(PathShape(), random.Random(1))
    for number in range(20_000):
        way.take(PACKET_BYTES, number * 0.001)
    assert way.lost == pytest.approx(200, rel=0.2)
    assert way.lost + way.passed == 20_000
