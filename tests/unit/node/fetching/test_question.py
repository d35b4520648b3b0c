"""A question about a DAG, asked as a walk."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from dhtstore.content.codec.unixfs import DagNode, read_node
from dhtstore.content.dag.walk import Want
from dhtstore.errors import LocalProtocolError, NoSuchPath
from dhtstore.node.fetching.question import QuestionWalk
from tests.unit.node.fetching.walks import want_of

FIRST, SECOND = want_of(b"first", 0), want_of(b"second", 1)
FIRST_NODE, SECOND_NODE = read_node(FIRST.cid, b"first"), read_node(SECOND.cid, b"second")
Question = Generator[Want, DagNode, str]


def two_blocks() -> Question:
    first = yield FIRST
    second = yield SECOND
    return f"{bytes(first.content).decode()}, {bytes(second.content).decode()}"


def test_each_want_comes_when_the_one_before_is_answered() -> None:
    walk = QuestionWalk(two_blocks())
    assert walk.next(9) == [FIRST]
    assert walk.next(9) == []
    assert walk.accept(FIRST, FIRST_NODE) == []
    assert not walk.done
    assert walk.next(9) == [SECOND]
    walk.accept(SECOND, SECOND_NODE)
    assert walk.done
    assert walk.answer == "first, second"


def test_a_question_that_needs_no_block_is_done_at_once() -> None:
    def known() -> Question:
        return "known"
        yield FIRST

    walk = QuestionWalk(known())
    assert walk.done
    assert walk.next(9) == []
    assert walk.answer == "known"


def test_what_a_question_raises_comes_out() -> None:
    def wrong() -> Question:
        yield FIRST
        raise NoSuchPath("there is no 'x'")

    walk = QuestionWalk(wrong())
    walk.next(9)
    with pytest.raises(NoSuchPath):
        walk.accept(FIRST, FIRST_NODE)


def test_misuse_is_refused() -> None:
    walk = QuestionWalk(two_blocks())
    with pytest.raises(LocalProtocolError):
        _ = walk.answer
