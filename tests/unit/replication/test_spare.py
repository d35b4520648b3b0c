"""When a unit has one copy more than was asked for: its holders are away too often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dhtstore.model.identity import DhtKey, NodeId
from dhtstore.params import NODE_ID_BYTES
from dhtstore.replication.health.copies import Copy, Health, repair_below
from dhtstore.replication.health.past import PeerPast, away_share
from dhtstore.replication.health.periods import USUAL_PERIODS as PERIODS
from dhtstore.replication.repair.plan import Act, decide, watched

NOW = 1_700_000_000.0
HOUR_S = 3600.0


def spare(watched_h: float, away: Sequence[float], here_away: float) -> bool:
    """Of three copies wanted: the other holders were away for these shares of ``watched_h``, and
    are silent at the moment; this one was for ``here_away`` of it."""
    watched_s = watched_h * HOUR_S
    pasts = [
        PeerPast(NOW - watched_s, NOW - HOUR_S, NOW, HOUR_S, (), share * watched_s - HOUR_S)
        for share in away
    ]
    copies = [
        Copy(NodeId(bytes([n + 1]) * NODE_ID_BYTES), past, NOW) for n, past in enumerate(pasts)
    ]
    here = away_share(here_away * watched_s, watched_s, PERIODS)
    return Health(
        DhtKey(bytes(NODE_ID_BYTES)), NodeId(b"\xff" * 20), 3, copies, here_away=here
    ).spare


@pytest.mark.parametrize(
    ("watched_h", "away", "here_away", "wanted"),
    [
        (2, [0.5, 0.5], 0.5, False),  # chance
        (4, [0.5, 0.5], 0.5, True),
        (48, [0.5, 0.5], 0.5, True),
        (48, [0.5, 0.5], 0.0, False),  # this one is always there
        (48, [0.2, 0.2], 0.2, False),
        (12, [0.5, 0.5], 0.08, False),  # six hours without the others, one without a line here
    ],
)
def test_it_has_once_enough_was_seen(
    watched_h: float, away: Sequence[float], here_away: float, *, wanted: bool
) -> None:
    assert spare(watched_h, away, here_away) == wanted


def test_nobody_is_taken_for_more_or_less_than_never_there() -> None:
    for away_s, of_s in [(-5.0, 10.0), (5.0, 0.0), (1e9, 1.0), (0.0, 0.0)]:
        assert 0 <= away_share(away_s, of_s, PERIODS) <= 1


def test_who_is_silent_is_expected_to_be_for_as_long_again() -> None:
    past = PeerPast(NOW - 24 * HOUR_S, NOW - 6 * HOUR_S, NOW, 6 * HOUR_S, (), 2 * HOUR_S)
    assert past.expected_away(PERIODS) == pytest.approx((2 + 6 + 6) / (24 + 6 + 6))
    back = past.answered(NOW, PERIODS.gap_max_s)
    assert back.expected_away(PERIODS) == pytest.approx((2 + 6) / (24 + 6))


def test_a_clock_that_was_ahead_when_it_was_met_makes_nobody_away() -> None:
    """Watched for ten days since that was set right, half a day of which it was away."""
    ahead_s, gap_s = 365 * 24 * HOUR_S, PERIODS.gap_max_s
    past = PeerPast.met(NOW + ahead_s).answered(NOW + ahead_s + HOUR_S, gap_s)
    for hour in range(240):
        look = past.silent if 100 <= hour < 112 else past.answered
        past = look(NOW + hour * HOUR_S, gap_s)
    assert past.ever_answered
    assert past.heard_unix_s == NOW + 239 * HOUR_S
    assert past.looked_s == pytest.approx(240 * HOUR_S)
    assert past.there_share == pytest.approx(1 - 12 / 240)
    assert past.expected_away(PERIODS) == pytest.approx(12 / (240 + 6))


def test_a_clock_that_is_set_back_makes_nobody_steady() -> None:
    past = PeerPast.met(NOW).answered(NOW + HOUR_S, PERIODS.gap_max_s)
    past = past.silent(NOW - 30 * 24 * HOUR_S, PERIODS.gap_max_s)
    assert past.watched_s == pytest.approx(HOUR_S)
    assert past.grace_s(PERIODS) == PERIODS.grace_first_s


@pytest.mark.parametrize(("target", "made"), [(4, 3), (4, 2), (8, 6)])
def test_slack_is_for_holders_that_are_there(target: int, made: int) -> None:
    """Of four copies one may be missing, unless the others are away too often."""
    watched_s = 48 * HOUR_S
    for share, repairs in ((0.6, True), (0.05, made < repair_below(target))):
        away_s = share * watched_s
        past = PeerPast(NOW - watched_s, NOW - HOUR_S, NOW, HOUR_S, (), away_s - HOUR_S)
        ids = [NodeId(bytes([n + 1]) * NODE_ID_BYTES) for n in range(made)]
        copies = [Copy(each, past, NOW) for each in ids[1:]]
        health = Health(DhtKey(bytes(NODE_ID_BYTES)), ids[0], target, copies, here_away=share)
        health = replace(health, unknown_s=PERIODS.grace_first_s)
        choice = decide(watched(health, NOW), NOW)
        assert (choice.act is Act.REPAIR) == repairs
        assert choice.missing == (target - made) * repairs
