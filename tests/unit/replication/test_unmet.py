"""Copies that nobody met: silent ones, unless they were never made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dhtstore.model.identity import DhtKey, NodeId
from dhtstore.replication.health.copies import Copy, CopyState, Health
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.health.periods import USUAL_PERIODS as PERIODS
from dhtstore.replication.repair.plan import Act, decide, watched

NOW = 1_800_000_000.0
HOUR_S = 3600.0
KEY, HERE = DhtKey(bytes(20)), NodeId(b"\1" * 20)


@pytest.mark.parametrize(
    ("made", "known", "act", "why"),
    [
        (None, 0, Act.NOTHING, "1 copy of 3, 2 more looked for"),
        (3, 0, Act.NOTHING, "1 copy of 3, 2 more looked for"),
        (2, 0, Act.REPAIR, "1 copy of 3, 1 more looked for"),
        (1, 0, Act.REPAIR, "1 copy of 3"),
        (2, 1, Act.REPAIR, "2 copies of 3"),
        (7, 1, Act.NOTHING, "2 copies of 3, 1 more looked for"),
        (1, 2, Act.NOTHING, "3 copies of 3"),
    ],
)
def test_what_was_never_made_is_not_waited_for(
    made: int | None, known: int, act: Act, why: str
) -> None:
    copies = [Copy(NodeId(bytes([2 + n]) * 20), PeerPast.met(NOW)) for n in range(known)]
    health = watched(Health(KEY, HERE, 3, copies, made=made), NOW)
    choice = decide(health, NOW)
    assert (choice.act, choice.why) == (act, why)


def test_of_copies_that_were_never_met_one_is_not_waited_for_where_nobody_answers() -> None:
    unknown_s = PERIODS.grace_first_s / 2
    health = watched(Health(KEY, HERE, 3, [], unknown_s=unknown_s), NOW)
    choice = decide(health, NOW)
    assert (choice.missing, choice.why) == (1, "1 copy of 3, 1 more looked for")


@pytest.mark.parametrize("sought_h", [0, 10, 28])
def test_the_wait_for_who_never_answered_begins_with_the_search(sought_h: int) -> None:
    past = PeerPast.met(NOW)
    left_h = round(PERIODS.grace_first_s / HOUR_S) - sought_h
    for hour in range(1, left_h + 1):
        past = past.silent(NOW + hour * HOUR_S, PERIODS.gap_max_s)
        copy = Copy(HERE, past, sought_s=sought_h * HOUR_S)
        assert copy.state(PERIODS) is (CopyState.AWAY if hour < left_h else CopyState.LOST)


def test_who_answers_was_not_silent_while_it_was_sought() -> None:
    past = PeerPast.met(NOW)
    assert Copy(HERE, past, sought_s=1e6).state(PERIODS) is CopyState.LIVE
    past = past.answered(NOW + HOUR_S, PERIODS.gap_max_s)
    past = past.silent(NOW + 2 * HOUR_S, PERIODS.gap_max_s)
    assert Copy(HERE, past, sought_s=1e6).silent_s == HOUR_S


def silent_for(hours: int) -> Copy:
    """A holder that answered once and was then silent so long."""
    past = PeerPast.met(NOW - 2 * HOUR_S).answered(NOW - HOUR_S, PERIODS.gap_max_s)
    for hour in range(hours):
        past = past.silent(NOW + hour * HOUR_S, PERIODS.gap_max_s)
    return Copy(HERE, past)


@pytest.mark.parametrize(
    ("silent_h", "urgent"),
    [
        ([17], False),  # of 36 that it may be
        ([18], True),
        ([22, 8], True),  # together 30 of 36
        ([8, 22], True),
        ([14, 14], False),  # 28
        ([15, 15], True),
        ([35, 7], False),  # a night's maintenance, whatever the other does
        ([10, 10, 9], True),
        ([9, 9, 9], False),
        ([36, 17], False),  # the first is lost and not waited for
    ],
)
def test_of_the_last_copy_the_more_are_silent_the_less_each_is_waited_for(
    silent_h: list[int], urgent: bool
) -> None:
    copies = [silent_for(hours) for hours in silent_h]
    health = Health(KEY, HERE, 1 + len(copies), copies, made=1 + len(copies))
    assert health.urgent is urgent


def test_who_answers_and_never_proved_a_copy_stands_for_none_where_it_may_be_the_last() -> None:
    """Keys cost nothing: each kept the care for it away for a day."""
    ghost = Copy(NodeId(b"\2" * 20), PeerPast.met(NOW - HOUR_S).answered(NOW, PERIODS.gap_max_s))
    holder = replace(silent_for(20), proven_unix_s=NOW - HOUR_S)
    health = watched(Health(KEY, HERE, 3, [ghost, holder]), NOW)
    choice = decide(health, NOW)
    assert (choice.act, choice.missing) == (Act.REPAIR, 1) or choice.due_unix_s > NOW
    assert (
        choice.why == "2 copies of 3 (the silent one not waited for, as nobody else proves a copy)"
    )
    proved = watched(replace(health, copies=[replace(ghost, proven_unix_s=NOW), holder]), NOW)
    assert decide(proved, NOW).act is Act.NOTHING


@pytest.mark.parametrize(
    ("proven_unix_s", "vain", "copies"), [(0.0, 0, 2), (0.0, 1, 1), (NOW - 9e5, 1, 2)]
)
def test_beside_a_lost_copy_who_went_before_it_was_asked_for_a_proof_counts(
    proven_unix_s: float, vain: int, copies: int
) -> None:
    """Two holders that are waited for were both replaced, since audits come days apart; who was
    asked and proved nothing stands in for nobody."""
    lost = silent_for(round(PERIODS.grace_first_s / HOUR_S))
    went = replace(silent_for(3), proven_unix_s=proven_unix_s, vain=vain)
    assert Health(KEY, HERE, 3, [lost, went]).counted == copies
