"""When what failed is tried again."""

from __future__ import annotations

from math import inf

from dhtstore.node.traffic.retries import Retries


def due(retries: Retries, now_s: float) -> list[bytes]:
    found = []
    while (name := retries.pop(now_s)) is not None:
        found.append(name)
    return found


def test_pauses_double_up_to_the_longest_for_each_name() -> None:
    retries, now_s, pauses = Retries(30, 100), 0.0, []
    for _ in range(5):
        retries.failed(b"a", now_s)
        pauses.append(retries.wait_s(now_s))
        now_s += retries.wait_s(now_s)
        assert due(retries, now_s - 1) == []
        assert due(retries, now_s) == [b"a"]
    assert pauses == [30, 60, 100, 100, 100]
    retries.failed(b"b", now_s)
    assert retries.wait_s(now_s) == 30


def test_what_was_done_begins_anew_and_waits_no_more() -> None:
    retries = Retries(30, 100)
    retries.failed(b"a", 0)
    retries.failed(b"a", 0)
    retries.done(b"a")
    assert retries.wait_s(0) == inf
    assert due(retries, 1000) == []
    retries.failed(b"a", 0)
    assert retries.wait_s(0) == 30


def test_what_failed_twice_is_due_once() -> None:
    retries = Retries(30, 100)
    retries.failed(b"a", 0)
    retries.failed(b"a", 10)
    assert due(retries, 1000) == [b"a"]


def test_what_is_soon_comes_before_whatever_failed_before_it() -> None:
    retries = Retries(30, 100)
    for name in (b"a", b"b", b"c"):
        retries.failed(name, 0)
    retries.soon(b"d")
    retries.soon(b"b")
    assert due(retries, 31) == [b"d", b"b", b"a", b"c"]


def test_all_can_be_hurried_in_their_order() -> None:
    retries = Retries(30, 100)
    for second, name in enumerate((b"c", b"a", b"b")):
        retries.failed(name, second)
    retries.done(b"a")
    retries.hurry(5)
    assert due(retries, 5) == [b"c", b"b"]
    retries.failed(b"b", 5)
    assert retries.wait_s(5) == 30
