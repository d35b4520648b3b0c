"""When silent holders are waited for no more, as `list` and `repair --dry-run` tell it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dhtstore.model.identity import DhtKey, NodeId
from dhtstore.params import ABSENCES_KNOWN_MIN
from dhtstore.replication.health.copies import Copy, Health
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.health.waiting import believed, waits_s

HOUR_S = 3600.0
STEP_S = HOUR_S / 4
STEPS = 4 * 100  # longer than all graces together with the wait for who was never met


@st.composite
def copies(draw: st.DrawFn, number: int) -> Copy:
    """Silent or not, for whole hours; little known, steady, or away so often that it is usual."""
    known_h = draw(st.sampled_from([1, 24 * 10]))
    absence_h = draw(st.sampled_from([0, 1, 5, 30]))
    past = PeerPast(
        known_unix_s=0.0,
        heard_unix_s=draw(st.sampled_from([0.0, known_h * HOUR_S])),
        asked_unix_s=known_h * HOUR_S,
        silent_s=draw(st.sampled_from([0, 1, 5, 9, 20, 40])) * HOUR_S,
        away_s=(absence_h * HOUR_S,) * (ABSENCES_KNOWN_MIN if absence_h else 0),
    )
    proven_unix_s = draw(st.sampled_from([0.0, 1.0]))
    return Copy(NodeId(bytes([8 + number]) * 20), past, proven_unix_s, by_block=draw(st.booleans()))


@st.composite
def healths(draw: st.DrawFn) -> Health:
    known = [draw(copies(number)) for number in range(draw(st.integers(0, 5)))]
    return Health(
        DhtKey(bytes(20)),
        NodeId(b"\7" * 20),
        draw(st.integers(2, 5)),
        known,
        unknown_s=draw(st.sampled_from([0, 10, 30, 50])) * HOUR_S,
    )


def later(health: Health, passed_s: float) -> Health:
    """Nobody was heard meanwhile who is silent."""

    def silent(one: Copy) -> Copy:
        past = one.past
        more_s = passed_s if past.silent_s else 0.0
        return replace(one, past=replace(past, silent_s=past.silent_s + more_s))

    known = [silent(each) for each in health.copies]
    return replace(health, copies=known, unknown_s=health.unknown_s + passed_s)


def is_short(health: Health) -> bool:
    return health.counted < health.least


@settings(deadline=None)
@given(healths())
def test_it_is_told_when_there_are_too_few(health: Health) -> None:
    told_s = waits_s(health)
    times = (step * STEP_S for step in range(STEPS))
    first_s = next((each for each in times if is_short(later(health, each))), None)
    if told_s is None:
        assert first_s is None or first_s == 0
    else:
        assert first_s is not None
        assert first_s - STEP_S <= told_s <= first_s + 1


def test_two_that_are_silent_alone_are_not_waited_for_until_their_grace_is_over() -> None:
    """For 0.8 of 36 hours together."""
    past = replace(PeerPast.met(0.0), silent_s=HOUR_S)
    known = [Copy(NodeId(bytes([each]) * 20), past, 1.0) for each in (8, 9)]
    health = Health(DhtKey(bytes(20)), NodeId(b"\7" * 20), 3, known)
    told_s = waits_s(health)
    assert told_s is not None
    assert round(told_s / HOUR_S, 1) == 13.4


def test_who_answers_is_asked_for_its_proof_before_a_copy_is_said_to_be_made() -> None:
    """Four of three, one of them silent: the plan said when its repair starts, and none did."""
    met, silent = PeerPast.met(0.0), replace(PeerPast.met(0.0), silent_s=HOUR_S)
    nodes = [NodeId(bytes([each]) * 20) for each in (8, 9, 10)]
    known = [Copy(node, met, 1.0, by_block=False) for node in nodes[:2]]
    known.append(Copy(nodes[2], silent, 1.0))
    health = Health(DhtKey(bytes(20)), NodeId(b"\7" * 20), 3, known)
    assert waits_s(health) is not None
    assert waits_s(believed(health)) is None
