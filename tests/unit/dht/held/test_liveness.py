"""Who is known to live, and when each is asked: the rules alone."""

from __future__ import annotations

import math
import random

from dhtstore.dht.core.stores.liveness import Liveness
from dhtstore.params import (
    DAY_S,
    PROVIDER_PONG_PAUSES,
    PROVIDER_PROBE_FIRST_S,
    PROVIDER_PROBE_MAX_S,
    PROVIDER_PROBE_MIN_S,
    PROVIDER_PROBE_SILENT_MAX_S,
    PROVIDER_PROBES_IN_VAIN_MAX,
)

ONE, OTHER = b"1" * 32, b"2" * 32


def next_due(lives: Liveness) -> tuple[float, list[bytes]]:
    """When somebody is to be asked next, and who; a look may find that nobody is."""
    while (now := lives.next_s()) < math.inf:
        if due := lives.due(now, 20):
            return now, due
    return math.inf, []


def test_one_provider_is_asked_once_whatever_number_of_its_records_are_kept() -> None:
    lives = Liveness()
    for _ in range(1000):
        lives.enter(ONE, 0.0)
    assert lives.next_s() == PROVIDER_PROBE_FIRST_S
    assert lives.due(PROVIDER_PROBE_FIRST_S, 20) == [ONE]
    assert lives.due(PROVIDER_PROBE_FIRST_S, 20) == []


def test_the_longer_one_lives_the_less_often_it_is_asked() -> None:
    lives, now, pauses = Liveness(), 0.0, []
    lives.enter(ONE, now)
    while now < 10 * DAY_S:
        lives.proved(ONE, now, pong=True)
        before, (now, due) = now, next_due(lives)
        assert due == [ONE]
        pauses.append(round(now - before))
    assert pauses[0] == PROVIDER_PROBE_MIN_S
    assert pauses[-1] == PROVIDER_PROBE_MAX_S
    assert pauses == sorted(pauses)
    assert len(pauses) < 250, "pings in ten days"


def test_one_that_answered_once_and_does_no_more_at_any_place_is_silent_until_it_is_heard() -> None:
    lives = Liveness()
    lives.enter(ONE, 0.0)
    lives.proved(ONE, 0.0, pong=True)
    lives.failed(ONE, 400.0, 2)
    assert not lives.silent(ONE), "it may be at its other place"
    lives.failed(ONE, 430.0, 2)
    assert lives.silent(ONE)
    lives.proved(ONE, 500.0, pong=False)
    assert not lives.silent(ONE)
    assert lives.proved_ago_s(ONE, 510.0) == 10.0


def test_one_that_never_answered_is_not_silent_and_is_given_up_until_it_comes_again() -> None:
    lives, now, asked = Liveness(), 0.0, 0
    lives.enter(ONE, now)
    while due := next_due(lives)[1]:
        asked += len(due)
        now += PROVIDER_PROBE_SILENT_MAX_S
        lives.failed(ONE, now, 1)
    assert asked == PROVIDER_PROBES_IN_VAIN_MAX + 1
    assert not lives.silent(ONE)
    lives.proved(ONE, now, pong=False)
    assert lives.next_s() == now + PROVIDER_PROBE_FIRST_S


def test_one_that_stays_silent_is_asked_less_and_less_often() -> None:
    lives, now = Liveness(), 0.0
    lives.enter(ONE, now)
    lives.proved(ONE, now, pong=True)
    for _ in range(20):
        now, due = next_due(lives)
        assert due == [ONE]
        lives.failed(ONE, now, 1)
    assert lives.next_s() - now == PROVIDER_PROBE_SILENT_MAX_S


def test_free_keys_that_never_answer_do_not_keep_who_does_from_being_asked() -> None:
    lives = Liveness()
    lives.enter(OTHER, 0.0)
    lives.proved(OTHER, 0.0, pong=True)
    for number in range(10_000):
        lives.enter(number.to_bytes(32, "big"), 0.0)
    assert OTHER in lives.due(PROVIDER_PROBE_MIN_S, 20)


def test_whatever_comes_and_goes_nobody_is_forgotten_and_the_queue_stays_bounded() -> None:
    rng, lives, now = random.Random(7), Liveness(), 0.0
    kept: dict[bytes, int] = {}
    for step in range(20_000):
        signer, what = bytes([rng.randrange(40)]) * 32, rng.randrange(6)
        now += rng.expovariate(1 / 20)
        if what == 0:
            lives.enter(signer, now)
            kept[signer] = kept.get(signer, 0) + 1
        elif what == 1 and kept.get(signer):
            lives.leave(signer)
            kept[signer] -= 1
        elif what == 2:
            lives.proved(signer, now, rng.uniform(0.8, 1.2), pong=rng.random() < 0.5)
        elif what == 3:
            lives.failed(signer, now, rng.randint(0, 3))
        else:
            for one in lives.due(now, 5):
                assert kept[one] > 0, step
                lives.postpone(one, now + PROVIDER_PROBE_MIN_S)
    alive = {signer for signer, count in kept.items() if count}
    assert len(lives) == len(alive)
    assert sum(map(len, lives._queues)) <= 4 * len(alive) + 128
    for signer in alive:
        lives.proved(signer, now, pong=True)
    assert set(lives.due(now + 2 * PROVIDER_PROBE_MAX_S, 1000)) == alive


def test_who_asks_us_is_asked_later_but_not_for_ever_as_its_request_may_be_an_old_one() -> None:
    lives, now = Liveness(), 0.0
    lives.enter(ONE, now)
    lives.proved(ONE, now, pong=True)
    while not (due := lives.due(now, 20)):
        now += PROVIDER_PROBE_MIN_S / 2
        lives.asked_us(ONE, now)
        assert lives.proved_ago_s(ONE, now) == 0.0
    assert due == [ONE]
    assert PROVIDER_PROBE_MIN_S * 2 < now <= PROVIDER_PROBE_MIN_S * (PROVIDER_PONG_PAUSES + 1)
    lives.failed(ONE, now, 1)
    lives.asked_us(ONE, now + 1.0)
    assert lives.silent(ONE), "only a pong brings it back"


def test_a_request_proves_nothing_of_one_that_never_answered() -> None:
    lives = Liveness()
    lives.enter(ONE, 0.0)
    lives.asked_us(ONE, 1.0)
    assert lives.proved_ago_s(ONE, 1.0) is None
    assert lives.due(PROVIDER_PROBE_FIRST_S, 20) == [ONE]
