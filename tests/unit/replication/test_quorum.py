"""How many copies a put must reach, and what is said where it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.params import REPLICAS_MAX
from dhtstore.replication.quorum import Obstacle, Quorum, Shortage, Word, obstacle, obstacles_of
from dhtstore.replication.ranking import Stage


@pytest.mark.parametrize(
    ("replicas", "asked", "setting", "expected"),
    [
        (3, None, None, (2, Word.DEFAULT)),
        (1, None, None, (1, Word.DEFAULT)),
        (64, None, None, (2, Word.DEFAULT)),
        (3, 1, None, (1, Word.ASKED)),
        (3, 0, 3, (0, Word.ASKED)),
        (3, None, 3, (3, Word.SETTING)),
        (1, None, 3, (1, Word.SETTING)),
        (3, None, 1, (1, Word.SETTING)),
    ],
)
def test_whose_word_counts(
    replicas: int, asked: int | None, setting: int | None, expected: tuple[int, Word]
) -> None:
    quorum = Quorum.of(replicas, asked, setting)
    assert (quorum.copies, quorum.word) == expected


@given(st.integers(1, REPLICAS_MAX), st.none() | st.integers(0, REPLICAS_MAX))
def test_what_nobody_asked_for_can_always_be_had(replicas: int, setting: int | None) -> None:
    assert 0 <= Quorum.of(replicas, None, setting).copies <= replicas


@pytest.mark.parametrize(
    ("stage", "code", "expected"),
    [
        (Stage.REFUSED, "room", Obstacle.ROOM),
        (Stage.REFUSED, "units", Obstacle.ROOM),
        (Stage.REFUSED, "quota", Obstacle.SHARE),
        (Stage.REFUSED, "newcomer", Obstacle.SHARE),
        (Stage.REFUSED, "busy", Obstacle.BUSY),
        (Stage.REFUSED, "owner", Obstacle.OWNER),
        (Stage.REFUSED, "policy", Obstacle.REFUSED),
        (Stage.REFUSED, "", Obstacle.REFUSED),
        (Stage.UNREACHED, "", Obstacle.UNREACHED),
        (Stage.FAILED, "", Obstacle.FAILED),
        (Stage.HELD, "", None),
        (Stage.FOUND, "", None),
    ],
)
def test_what_kept_a_node_from_holding(stage: Stage, code: str, expected: Obstacle | None) -> None:
    assert obstacle(stage, code) is expected


def short(
    *obstacles: Obstacle, asked: int | None = None, quorum: Quorum | None = None, copies: int = 1
) -> Shortage:
    others = len(obstacles) if asked is None else asked
    return Shortage(copies, 3, quorum or Quorum.of(3), others, obstacles)


def test_a_lone_node_is_told_to_find_another() -> None:
    alone = short()
    assert alone.message() == (
        "1 of 3 copies, fewer than the 2 that every put needs unless --min-acks says otherwise:"
        " no other storage node is known here"
    )
    assert "`dhtstore join TICKET`" in alone.hint()
    assert "keep the original" in alone.hint()
    assert alone.hint().endswith("(or say with --min-acks 1 that one copy is enough)")


def test_each_reason_is_told_once_with_its_own_remedy() -> None:
    mixed = short(Obstacle.UNREACHED, Obstacle.ROOM, Obstacle.ROOM, asked=4)
    assert mixed.message().endswith(
        "of 4 storage nodes that could hold it 2 had no room for it, 1 could not be reached"
    )
    hint = mixed.hint()
    assert hint.count("config capacity") == hint.count("dhtstore ping NODE") == 1
    assert "join TICKET" not in hint
    assert "owner key" in short(Obstacle.OWNER).hint()
    share = short(Obstacle.SHARE)
    assert share.message().endswith("that could hold it 1 had no share left for it")
    assert "config owner_quota SIZE" in share.hint()
    assert "config capacity" not in share.hint()


def test_where_all_who_were_asked_hold_it_more_must_join() -> None:
    few = short(asked=1, quorum=Quorum.of(3, 3), copies=2)
    assert few.message().endswith(
        ": only 2 storage nodes known here, this one included, and 3 are needed"
    )
    assert "let more storage nodes join" in few.hint()


def test_too_few_nodes_are_not_told_as_a_lack_of_room() -> None:
    few = short(Obstacle.ROOM, asked=3, quorum=Quorum(6, Word.ASKED), copies=3)
    assert few.message().endswith(
        ": only 4 storage nodes known here, this one included, and 6 are needed;"
        " of 3 storage nodes that could hold it 1 had no room for it"
    )
    assert few.hint().startswith("keep the original; let more storage nodes join; give those nodes")
    client = Shortage(1, 3, Quorum(2, Word.DEFAULT), 1, [], here=False)
    assert client.message().endswith(": only 1 storage node known here, and 2 are needed")


def test_the_option_is_named_only_to_whoever_has_not_given_it() -> None:
    asked = short(quorum=Quorum.of(3, 2))
    assert "the 2 asked for" in asked.message()
    assert "--min-acks" not in asked.message() + asked.hint()
    by_setting = short(quorum=Quorum.of(3, None, 2))
    assert "the 2 of this node's setting min_acks" in by_setting.message()
    assert "--min-acks" not in short(copies=0).hint()


def test_nodes_that_hold_it_are_no_obstacle() -> None:
    stages = [(Stage.HELD, ""), (Stage.REFUSED, "room"), (Stage.RESERVED, "")]
    assert obstacles_of(stages) == [Obstacle.ROOM]
