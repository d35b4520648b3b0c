"""When a unit has one copy more than was asked for: its holders are away too often."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dhtstore.model.identity import DhtKey, NodeId
from dhtstore.params import NODE_ID_BYTES
from dhtstore.replication.health.copies import Copy, Health
from dhtstore.replication.health.past import PeerPast, away_share
from dhtstore.replication.health.periods import USUAL_PERIODS as PERIODS

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
    copies = [Copy(NodeId(bytes([n + 1]) * NODE_ID_BYTES), past) for n, past in enumerate(pasts)]
    here = away_share(here_away * watched_s, watched_s, PERIODS)
    return Health(
        DhtKey(bytes(NODE_ID_BYTES)), NodeId(b"\xff" * 20), 3, copies, here_away=here
    ).spare


@pytest.mark.parametrize(
    ("watched_h", "away", "here_away", "wanted"),
    [
        (4, [0.5, 0.5], 0.5, False),  # chance
        (5, [0.5, 0.5], 0.5, True),
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
