"""Pieces in any order go out in order, and nothing else is held back."""

from __future__ import annotations

import random

import pytest

from dhtstore.content.dag.walk import File, Output, Piece
from dhtstore.transfer.in_order import InOrder

PIECES = [Piece((), at, bytes([at]) * 3) for at in range(0, 60, 3)]


@pytest.mark.parametrize("seed", range(10))
def test_shuffled_pieces_go_out_in_order_and_only_once(seed: int) -> None:
    shuffled = list(PIECES)
    random.Random(seed).shuffle(shuffled)
    in_order, out = InOrder(), list[Output]()
    for piece in shuffled:
        out += (some := in_order.pass_on([piece], 9))
        assert len(some) <= 9
    while some := in_order.pass_on([], 9):
        out += some
    assert out == PIECES


def test_a_gap_holds_back_what_is_behind_it() -> None:
    in_order = InOrder()
    assert in_order.pass_on([PIECES[0], PIECES[2]], 9) == [PIECES[0]]
    assert in_order.pass_on([PIECES[1]], 9) == [PIECES[1], PIECES[2]]


def test_a_range_starts_where_it_starts() -> None:
    assert InOrder(start=30).pass_on([PIECES[10]], 9) == [PIECES[10]]


def test_what_is_no_piece_is_not_held_back() -> None:
    file = File((), 60)
    assert InOrder().pass_on([PIECES[5], file], 9) == [file]
