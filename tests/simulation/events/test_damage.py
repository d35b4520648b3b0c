"""What is remembered of faults."""

from __future__ import annotations

import math

from simulations.events.damage import DamageRecord


def test_only_what_was_announced_while_a_fault_lasted_was_dropped() -> None:
    damage = DamageRecord()
    ended = damage.dropping(100.0)
    assert damage.dropped_until_s(0.0, 99.0) == -math.inf
    assert damage.dropped_until_s(110.0, 120.0) == math.inf  # it lasts
    ended(200.0)
    assert damage.dropped_until_s(110.0, 120.0) == 200.0
    assert damage.dropped_until_s(50.0, 150.0) == 200.0
    assert damage.dropped_until_s(201.0, 250.0) == -math.inf


def test_of_two_faults_at_once_the_last_end_counts() -> None:
    damage = DamageRecord()
    first, second = damage.dropping(100.0), damage.dropping(150.0)
    first(300.0)
    second(250.0)
    assert damage.dropped_until_s(160.0, 170.0) == 300.0
