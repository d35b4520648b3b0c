"""Bursts of loss against the formulas of their chain."""

from __future__ import annotations

import math
import random

import pytest

from dhtstore.model.contact import Address
from simulations.world.loop.virtual_loop import VirtualLoop
from simulations.world.network.bursts import Bursts
from simulations.world.network.machine import Machine
from simulations.world.network.network import SimNetwork

LOSS, MEAN_S, IN_BURST = 0.04, 0.5, 0.5
SHARE = (1 - math.sqrt(1 - LOSS)) / IN_BURST


def machines(count: int) -> list[Machine]:
    return [Machine(Address("10.0.0.1", 1 + n), None, VirtualLoop()) for n in range(count)]


def test_over_all_ways_and_times_the_given_share_is_lost() -> None:
    bursts, rng = Bursts(random.Random(1), LOSS, MEAN_S, IN_BURST), random.Random(2)
    hosts, now_s = machines(40), 0.0
    lost, sent = 0, 100_000
    for _ in range(sent):
        now_s += 0.01
        a, b = rng.sample(hosts, 2)
        lost += bursts.lose(a, b, now_s)
    assert lost / sent == pytest.approx(LOSS, rel=0.1)


@pytest.mark.parametrize("after_s", [0.001, 0.1, 0.5, 2.0])
def test_after_a_loss_more_are_lost_for_as_long_as_the_chain_remembers(after_s: float) -> None:
    """Given a loss, one line at least is in a burst; it still is with probability
    share + (1 - share) exp(-t / memory)."""
    bursts, (a, b), now_s = Bursts(random.Random(3), LOSS, MEAN_S, IN_BURST), machines(2), 0.0
    pairs = again = 0
    while pairs < 5000:
        now_s += 20.0  # long forgotten
        if bursts.lose(a, b, now_s):
            pairs += 1
            again += bursts.lose(a, b, now_s + after_s)
    still = SHARE + (1 - SHARE) * math.exp(-after_s / (MEAN_S * (1 - SHARE)))
    expected = 1 - (1 - IN_BURST * still) * (1 - IN_BURST * SHARE)
    assert again / pairs == pytest.approx(expected, rel=0.12)


def test_bursts_take_both_ways_and_leave_other_machines_alone() -> None:
    bursts, (a, b, c), now_s = Bursts(random.Random(4), LOSS, 1000.0, 0.999), machines(3), 0.0
    while not bursts.lose(a, b, now_s):
        now_s += 10_000.0
    faded = a if bursts.lose(c, a, now_s) else b
    other = b if faded is a else a
    assert bursts.lose(faded, c, now_s)
    assert bursts.lose(c, faded, now_s)
    assert not bursts.lose(other, c, now_s)


@pytest.mark.parametrize("loss", [0.0, 0.5, 0.9])
def test_more_than_bursts_lose_cannot_be_lost_in_all(loss: float) -> None:
    with pytest.raises(ValueError, match="in all"):
        Bursts(random.Random(1), loss, 1.0, 0.5)


def test_streams_and_datagrams_both_ask_for_bursts() -> None:
    network = SimNetwork(VirtualLoop(), random.Random(1), loss=0.1)
    network.bursts = Bursts(random.Random(1), 0.1, 1e9, 0.999999)
    a, b = network.machine(Address("10.0.0.1", 1)), network.machine(Address("10.0.0.2", 1))
    assert network.losses(a, b, 1000) in (0, 999, 1000)  # all of one burst, or none
