"""The order of a chain, and who in it is too slow."""

from __future__ import annotations

import pytest

from dhtstore.model.identity import NodeId
from dhtstore.params import MIB
from dhtstore.replication.chaining import Membership, falls_behind, in_order


def member(name: str, held_bytes: int = 0, origin: str = "a", *, known: bool = True) -> Membership:
    return Membership(NodeId(name.encode()), held_bytes, origin, reachable=known)


def order(*members: Membership) -> str:
    return b"".join(in_order(members)).decode()


def test_who_has_most_comes_first_and_who_cannot_be_reached_last() -> None:
    assert order(member("a"), member("b", 5), member("c", 9, known=False), member("d", 7)) == "dbac"


def test_those_of_one_subnet_stand_together_and_else_as_they_came() -> None:
    members = (member("a", origin="x"), member("b", origin="y"), member("c", origin="x"))
    assert order(*members) == "acb"
    assert order(*members[::-1]) == "cab"


@pytest.mark.parametrize(
    ("before", "now", "ahead", "slow"),
    [
        (0, 10 * MIB, 100 * MIB, True),  # 2 MiB/s behind one that had 10 MiB/s
        (0, 30 * MIB, 100 * MIB, False),  # more than half as fast
        (0, 10 * MIB, 40 * MIB, False),  # not far behind
        (60 * MIB, 60 * MIB, 100 * MIB, True),
    ],
)
def test_who_is_far_behind_and_half_as_fast_is_held_up(
    before: int, now: int, ahead: int, slow: bool
) -> None:
    assert falls_behind(before, now, 5.0, ahead, 10.0) == slow
    assert not falls_behind(before, now, 5.0, ahead, 0.0)
