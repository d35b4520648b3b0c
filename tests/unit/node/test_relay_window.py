"""What is given from a window is whole, once, and what is wanted next."""

from __future__ import annotations

from dhtstore.model.cid import Cid
from dhtstore.node.copies.relaying.window import RelayMemory, RelayWindow

BLOCKS = [(Cid.of(data), data) for data in (b"a" * 100, b"b" * 100, b"c" * 100, b"d" * 100)]


def given(window: RelayWindow, number: int) -> bytes | None:
    lease = window.give(BLOCKS[number][0])
    return None if lease is None else bytes(lease.view)


def test_a_block_is_given_once_and_its_memory_is_free_then() -> None:
    memory = RelayMemory(1000)
    window = memory.window()
    window.keep(BLOCKS)
    lease = window.give(BLOCKS[1][0])
    window.close()
    assert lease is not None
    assert bytes(lease.view) == BLOCKS[1][1], "whatever goes meanwhile"
    assert given(window, 1) is None
    assert memory.held_bytes == 0


def test_who_lags_behind_finds_what_it_wants_next_in_memory() -> None:
    """It was what went first, so that all it asked for was read, and hashed, again."""
    memory = RelayMemory(200)
    window = memory.window()
    for each in BLOCKS[:3]:
        window.keep([each])
    assert given(window, 0) == BLOCKS[0][1]
    window.keep(BLOCKS[3:])
    found = [number for number in (1, 2, 3) if given(window, number) is not None]
    assert found == [1, 3]


def test_a_window_that_has_less_gets_room_of_the_one_that_has_most() -> None:
    memory = RelayMemory(300)
    hoard, other = memory.window(), memory.window()
    hoard.keep(BLOCKS)
    other.keep(BLOCKS[:1])
    assert given(other, 0) == BLOCKS[0][1]
    assert [given(hoard, number) is not None for number in range(4)] == [True, True, False, False]
    assert memory.held_bytes == 0
