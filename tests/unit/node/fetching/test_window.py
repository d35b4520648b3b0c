"""How many wants of a walk are open at a time."""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.content.dag.walk import Want
from dhtstore.node.fetching.window import FetchRoom, Window, claimed_bytes
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    FETCH_MEMORY_BYTES,
    FETCH_WANTS_MAX,
    MIB,
    WANTS_PER_REQUEST_MAX,
)
from tests.unit.node.fetching.walks import ListWalk, want_of

BLOCKS = [b"%d" % number for number in range(100)]


def take_all(window: Window, *, unwritten_bytes: int = 0) -> list[Want]:
    found: list[Want] = []
    while wants := window.take(unwritten_bytes=unwritten_bytes, writing=bool(unwritten_bytes)):
        found += wants
    return found


def sequences(wants: Sequence[Want]) -> list[int]:
    return [want.sequence for want in wants]


def test_wants_are_open_up_to_the_memory_that_their_parents_claim() -> None:
    window = Window(ListWalk(BLOCKS, claim_bytes=MIB))
    wants = take_all(window)
    assert sequences(wants) == list(range(FETCH_MEMORY_BYTES // MIB))
    assert list(window.open) == sequences(wants)


def test_what_is_not_written_yet_takes_room_too() -> None:
    window = Window(ListWalk(BLOCKS, claim_bytes=MIB))
    assert len(take_all(window, unwritten_bytes=FETCH_MEMORY_BYTES // 2)) == 16
    window = Window(ListWalk(BLOCKS, claim_bytes=MIB))
    assert take_all(window, unwritten_bytes=FETCH_MEMORY_BYTES) == []


def test_room_is_used_again_once_a_good_part_of_it_is_free() -> None:
    window = Window(ListWalk(BLOCKS, claim_bytes=MIB))
    first = take_all(window)
    for want in first[:7]:
        window.fulfil(want, len(BLOCKS[want.sequence]))
    assert take_all(window) == []
    window.fulfil(first[7], len(BLOCKS[7]))
    assert sequences(take_all(window)) == list(range(32, 40))


def test_one_want_is_taken_whatever_the_memory_when_nothing_is_under_way() -> None:
    window = Window(ListWalk(BLOCKS, claim_bytes=MIB))
    assert len(window.take(unwritten_bytes=2 * FETCH_MEMORY_BYTES, writing=False)) == 1
    assert window.take(unwritten_bytes=2 * FETCH_MEMORY_BYTES, writing=False) == []


def test_tiny_wants_are_counted_instead() -> None:
    many = [b"%d" % number for number in range(FETCH_WANTS_MAX + 1000)]
    wants = take_all(Window(ListWalk(many, claim_bytes=1)))
    assert FETCH_WANTS_MAX <= len(wants) < FETCH_WANTS_MAX + WANTS_PER_REQUEST_MAX


def test_a_want_is_fulfilled_once() -> None:
    window = Window(ListWalk(BLOCKS[:1]))
    [want] = take_all(window)
    assert window.fulfil(want, 1)
    assert not window.fulfil(want, 1)
    assert window.done_bytes == 1
    assert window.open == {}


def test_what_is_read_counts_as_what_it_is_and_one_block_fits_beyond() -> None:
    woken: list[int] = []
    room = FetchRoom(8 * MIB, lambda: woken.append(room.held_bytes))
    gone = [room.take(2 * MIB) for _ in range(5)]
    assert all(gone)
    assert room.take(1) is None
    assert room.full
    last = gone.pop()
    assert last is not None
    last()
    assert woken == [8 * MIB]
    assert room.take(2 * MIB)


def test_what_is_alone_has_room_in_any_case() -> None:
    room = FetchRoom(8 * MIB)
    room.hold(64 * MIB)
    assert room.take(1) is None
    assert room.take(2 * MIB, alone=True)


def test_claims_are_held_within_what_a_block_may_be() -> None:
    assert claimed_bytes(want_of(b"", 0, 0)) == 1
    assert claimed_bytes(want_of(b"", 0, -5)) == 1
    assert claimed_bytes(want_of(b"", 0, 1 << 60)) == BLOCK_SIZE_MAX_BYTES
