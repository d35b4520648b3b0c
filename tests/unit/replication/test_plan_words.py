"""Why something is done about a unit, or not, as people read it."""

from __future__ import annotations

from dataclasses import replace

from dhtstore.model.identity import DhtKey, NodeId
from dhtstore.replication.health.copies import Copy, Health
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.repair.plan import at_once, decide, watched

NOW = 1_800_000_000.0
HOUR_S = 3600.0
HERE = NodeId(b"\7" * 20)
THERE = PeerPast.met(NOW)


def away(silent_s: float) -> PeerPast:
    return replace(THERE, silent_s=silent_s)


def health(*pasts: PeerPast, target: int = 3) -> Health:
    copies = [Copy(NodeId(bytes([20 + n]) * 20), past, NOW) for n, past in enumerate(pasts)]
    return Health(DhtKey(bytes(20)), HERE, target, copies, unknown_s=1e9)


def why(of: Health) -> str:
    return decide(watched(of, NOW), NOW).why


def test_one_that_is_silent_and_several() -> None:
    assert why(health(THERE, away(HOUR_S))) == (
        "3 copies of 3, 1 of them silent, for less than its grace"
    )
    assert why(health(away(HOUR_S), away(HOUR_S))) == (
        "3 copies of 3, 2 of them silent, for less than their grace"
    )
    gone = away(99 * HOUR_S)
    assert why(health(THERE, gone)) == "2 copies of 3 (1 silent beyond its grace)"
    assert why(health(gone, gone)) == "1 copy of 3 (2 silent beyond their grace)"


def test_copies_that_answer_and_do_not_count() -> None:
    gone = health(THERE, away(99 * HOUR_S))
    unproved = replace(gone, copies=[replace(gone.copies[0], by_block=False), gone.copies[1]])
    assert why(unproved) == "1 copy of 3 (1 silent beyond its grace, 1 yet to prove its copy)"


def test_silent_ones_of_which_not_all_are_waited_for() -> None:
    assert why(health(away(30 * HOUR_S), away(10 * HOUR_S))) == (
        "2 copies of 3 (1 of 2 silent not waited for, as nobody else answers)"
    )
    assert why(health(away(30 * HOUR_S), target=2)) == (
        "1 copy of 2 (the silent one not waited for, as nobody else answers)"
    )


def test_what_answers_now() -> None:
    assert at_once(health(THERE, away(HOUR_S))).why == "2 copies of 3 answer"
    assert at_once(health(away(HOUR_S))).why == "1 copy of 3 answers"


def test_a_turn_that_comes_in_a_moment() -> None:
    nearer = Copy(NodeId(b"\1" * 20), THERE)
    one = watched(replace(health(), copies=[nearer]), NOW)
    turn_s = one.periods.turn_s
    lower = "2 copies of 3; 1 holder nearer to it would repair first, this one in"
    assert decide(one, NOW).why == f"{lower} 10 minutes"
    assert decide(one, NOW + turn_s - 0.2).why == f"{lower} 1 second"


def test_how_often_none_is_there() -> None:
    half = PeerPast(NOW - 1e6, NOW, NOW, absent_s=5e5)
    now_away = replace(half, silent_s=HOUR_S)
    seldom = replace(health(half, now_away), here_away=0.5)
    assert why(seldom) == "3 copies of 3, of which none is there 12 % of the time"
