"""Copies that nobody met: silent ones, unless they were never made."""

from __future__ import annotations

import pytest

from dhtstore.model.identity import DhtKey, NodeId
from dhtstore.replication.health.copies import Copy, Health
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.repair.plan import Act, decide, watched

NOW = 1_800_000_000.0
KEY, HERE = DhtKey(bytes(20)), NodeId(b"\1" * 20)


@pytest.mark.parametrize(
    ("made", "known", "act", "why"),
    [
        (None, 0, Act.NOTHING, "3 copies of 3, 2 of them not found yet"),
        (3, 0, Act.NOTHING, "3 copies of 3, 2 of them not found yet"),
        (2, 0, Act.REPAIR, "2 copies of 3"),
        (1, 0, Act.REPAIR, "1 copy of 3"),
        (2, 1, Act.REPAIR, "2 copies of 3"),
        (7, 1, Act.NOTHING, "3 copies of 3, 1 of them not found yet"),
        (1, 2, Act.NOTHING, "3 copies of 3"),
    ],
)
def test_what_was_never_made_is_not_waited_for(
    made: int | None, known: int, act: Act, why: str
) -> None:
    copies = [Copy(NodeId(bytes([2 + n]) * 20), PeerPast.met(NOW)) for n in range(known)]
    health = watched(Health(KEY, HERE, 3, copies, made=made), NOW)
    choice = decide(health, NOW)
    assert (choice.act, choice.why.startswith(why)) == (act, True)
