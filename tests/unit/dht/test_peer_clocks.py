"""Comparing our clock with those of peers: the middle one counts, and lies change little."""

from __future__ import annotations

import pytest

from dhtstore.dht.core.peer_clocks import PeerClocks
from dhtstore.params import PEER_CLOCKS_AGE_MAX_S, PEER_CLOCKS_MAX

NOW, UNIX_S = 5000.0, 1_800_000_000


def told(*ahead_s: int) -> PeerClocks:
    """Peers whose clocks are so far ahead of ours."""
    clocks = PeerClocks()
    for number, ahead in enumerate(ahead_s):
        clocks.heard(b"%d" % number, UNIX_S + ahead, NOW)
    return clocks


@pytest.mark.parametrize(
    ("ahead_s", "ours"),
    [
        ((), None),
        ((3600,), None),
        ((3600, 3600), -3600),
        ((3600, -50), 0),
        ((3600, 50), -50),
        ((-7200, -7200, 0), 7200),
        ((86_400, 0, 0, 1, 999_999), -1),
    ],
)
def test_the_one_in_the_middle_counts(ahead_s: tuple[int, ...], ours: float | None) -> None:
    assert told(*ahead_s).ahead_s(UNIX_S, NOW) == ours


def test_a_peer_counts_once_by_what_it_said_last() -> None:
    clocks = told(0, 0)
    for _ in range(9):
        clocks.heard(b"0", UNIX_S + 9999, NOW)
    assert clocks.ahead_s(UNIX_S, NOW) == 0
    assert clocks.known(NOW) == 2


def test_few_are_remembered_and_none_for_ever() -> None:
    clocks = told(*range(10 * PEER_CLOCKS_MAX))
    assert clocks.known(NOW) == PEER_CLOCKS_MAX
    assert clocks.known(NOW + PEER_CLOCKS_AGE_MAX_S + 1) == 0
    assert clocks.ahead_s(UNIX_S, NOW + PEER_CLOCKS_AGE_MAX_S + 1) is None


def test_what_was_told_stays_right_while_time_passes_and_our_clock_is_set() -> None:
    clocks = told(600, 600, 600)
    assert clocks.ahead_s(UNIX_S + 3600, NOW + 3600) == -600
    assert clocks.ahead_s(UNIX_S + 3600 + 600, NOW + 3600) == 0
