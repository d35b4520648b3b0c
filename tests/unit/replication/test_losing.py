"""How likely a unit is lost: held to limits that are known, and to a simulation of the same."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from dhtstore.model.identity import DhtKey, NodeId
from dhtstore.params import DAY_S, YEAR_S
from dhtstore.replication.health.copies import Copy, Health
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.repair.losing import (
    CopySlot,
    LossRate,
    lost_within,
    slots_believed,
    slots_of,
)

NOTHING_SEEN = LossRate()
NOW = 10 * YEAR_S


@pytest.mark.parametrize("rate", [0.01, 1.0, 5.0])
@pytest.mark.parametrize("refilled_s", [None, DAY_S])
def test_one_copy_is_lost_as_often_as_its_holder(rate: float, refilled_s: float | None) -> None:
    """Nobody has another to copy from."""
    assert lost_within([CopySlot(rate, refilled_s)]) == pytest.approx(1 - math.exp(-rate), rel=1e-6)


@pytest.mark.parametrize("copies", [2, 3, 5])
@pytest.mark.parametrize("rate", [0.1, 1.0, 3.0])
def test_without_repair_all_holders_have_to_be_lost(copies: int, rate: float) -> None:
    expected = (1 - math.exp(-rate)) ** copies
    assert lost_within([CopySlot(rate, None)] * copies) == pytest.approx(expected, rel=5e-3)


def test_with_repair_losses_are_rare_as_the_textbook_says() -> None:
    """n rate^n repair^(n-1), where a repair takes little of the time between two losses."""
    rate, days = 0.5, 2.0
    for copies in (2, 3, 4):
        expected = copies * rate**copies * (days / 365.25) ** (copies - 1)
        told = lost_within([CopySlot(rate, days * DAY_S)] * copies)
        assert told == pytest.approx(expected, rel=0.03)


def test_no_copy_is_lost_and_a_place_that_nobody_leaves_is_not() -> None:
    assert lost_within([]) == 1.0
    assert lost_within([CopySlot(1.0, DAY_S, 1.0)] * 2) == 1.0
    assert lost_within([CopySlot(0.0, DAY_S), CopySlot(9.0, None)]) == 0.0


def test_it_agrees_with_a_simulation_in_which_repair_takes_as_long_each_time() -> None:
    """Of holders that are lost at different rates; the formula knows of repair but its mean."""
    kinds = {
        "three": [(4.0, 11.0)] * 3,
        "two": [(1.0, 10.0)] * 2,
        "unlike": [(1.0, 30.0), (6.0, 15.0), (3.0, 5.0)],
    }
    for name, slots in kinds.items():
        rng, runs = random.Random(11), 4000
        simulated = sum(_is_lost(slots, rng) for _ in range(runs)) / runs
        told = lost_within([CopySlot(rate, days * DAY_S) for rate, days in slots])
        noise = 3 * math.sqrt(simulated * (1 - simulated) / runs)
        assert told == pytest.approx(simulated, abs=noise, rel=0.15), name


def _is_lost(slots: Sequence[tuple[float, float]], rng: random.Random) -> bool:
    """Whether all are empty at once within a year: of each, when its next holder is lost, and
    until when it is empty."""
    due = [rng.expovariate(rate) for rate, _ in slots]
    until = [0.0] * len(slots)
    while (now := min(due)) < 1.0:
        at = due.index(now)
        until[at] = now + slots[at][1] * DAY_S / YEAR_S
        if min(until) > now:
            return True
        due[at] = until[at] + rng.expovariate(slots[at][0])
    return False


def past(watched_s: float, silent_s: float = 0.0) -> PeerPast:
    return PeerPast(NOW - watched_s, NOW, NOW, silent_s)


def health(*pasts: PeerPast, target: int = 3) -> Health:
    copies = [Copy(NodeId(bytes([at]) * 20), each) for at, each in enumerate(pasts, 1)]
    return Health(DhtKey(bytes(20)), NodeId(b"\xff" * 20), target, copies)


def lost(*pasts: PeerPast, target: int = 3, repaired: bool = True) -> float:
    return lost_within(slots_of(health(*pasts, target=target), NOTHING_SEEN, repaired=repaired))


def test_more_is_lost_of_fewer_copies_of_silent_ones_and_where_nobody_repairs() -> None:
    steady, new, silent = past(YEAR_S), past(DAY_S / 2), past(DAY_S / 2, silent_s=20 * 3600.0)
    gone = past(DAY_S / 2, silent_s=60 * 3600.0)
    ranked = [
        lost(steady, steady),
        lost(steady, new),
        lost(new, new),
        lost(new, silent),
        lost(new, gone),
        lost(gone, gone),
    ]
    assert ranked == sorted(ranked)
    assert all(low < high for low, high in pairwise(ranked))
    assert lost(new, new) < lost(new, new, repaired=False)


def test_a_holder_that_was_not_heard_of_yet_counts_as_there_at_first() -> None:
    """Who holds a unit is looked up after a while."""
    new = past(DAY_S / 2)
    assert lost(new) == pytest.approx(lost(new, new), rel=0.02)
    later = replace(health(new), unknown_s=23 * 3600.0)
    assert lost_within(slots_of(later, NOTHING_SEEN, repaired=True)) > lost(new)


def test_a_copy_more_than_repair_keeps_counts_for_nothing() -> None:
    """Of four replicas one may be missing before anybody repairs."""
    new = past(DAY_S / 2)
    assert lost(new, new, new, target=4) == lost(new, new, target=3)


def test_what_was_seen_outweighs_what_is_assumed() -> None:
    assert (NOTHING_SEEN.per_year, NOTHING_SEEN.measured) == (1.0, False)
    seen = LossRate(watched_s=99 * YEAR_S, gone=9)
    assert (seen.per_year, seen.measured) == (0.1, True)
    assert seen.of_watched(10 * YEAR_S) == pytest.approx(0.05)
    assert LossRate(watched_s=-5.0).per_year == 1.0


def test_of_copies_that_are_only_believed_the_number_counts() -> None:
    told = [
        lost_within(slots_believed(copies, 3, NOTHING_SEEN, repaired=True))
        for copies in (0, 1, 2, 3)
    ]
    assert told[0] == 1.0
    assert told == sorted(told, reverse=True)
    assert told[3] == pytest.approx(1e-4, rel=0.5)
