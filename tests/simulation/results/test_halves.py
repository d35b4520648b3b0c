"""The warning that a run is still on its way somewhere: rare where nothing changes, sure where much
does."""

from __future__ import annotations

import random

from simulations.results.halves import differences
from simulations.results.rows import OperationRow

HOUR_S = 3600.0


def rows(rng: random.Random, median_s: float, ok: float, from_s: float) -> list[OperationRow]:
    """Half an hour of lookups."""
    found = []
    for number in range(300):
        start_s = from_s + number * HOUR_S / 600
        lasts_s = rng.lognormvariate(0.0, 0.5) * median_s
        right = rng.random() < ok
        found.append(OperationRow(start_s, start_s + lasts_s, "lookup", 0, 0, 0, 1, 1, 0, right))
    return found


def told(seed: int, medians_s: tuple[float, float], shares: tuple[float, float]) -> list[str]:
    rng = random.Random(seed)
    first = rows(rng, medians_s[0], shares[0], 0.0)
    return differences(first + rows(rng, medians_s[1], shares[1], HOUR_S / 2), 0.0, HOUR_S)


def test_two_halves_alike_are_rarely_told_apart() -> None:
    alarms = sum(bool(told(seed, (0.7, 0.7), (0.97, 0.97))) for seed in range(300))
    assert alarms <= 3


def test_halves_that_differ_are_told() -> None:
    slower = [told(seed, (0.5, 0.79), (1.0, 1.0)) for seed in range(20)]
    assert all(len(lines) == 1 and "median" in lines[0] for lines in slower)
    worse = [told(seed, (0.5, 0.5), (0.99, 0.8)) for seed in range(20)]
    assert all(len(lines) == 1 and "succeeded" in lines[0] for lines in worse)


def test_few_operations_say_nothing() -> None:
    rng = random.Random(1)
    few = rows(rng, 0.5, 1.0, 0.0)[::10] + rows(rng, 5.0, 1.0, HOUR_S / 2)[::10]
    assert differences(few, 0.0, HOUR_S) == []
