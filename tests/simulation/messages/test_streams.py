"""Questions over streams, read from bytes in any pieces."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.wire import frames
from simulations.messages.exchange import Exchange
from simulations.messages.streams import FrameReader, StreamTalk

A, B = Address("10.0.0.1", 7400), Address("10.0.0.2", 7400)
BLOCKS = [b"first block", b"second, which is longer"]
CIDS = tuple(Cid.of(block).raw for block in BLOCKS)
GET = frames.encode(frames.GetBlocks(request=7, cids=CIDS))


def blocks(indices: tuple[int, ...], missing: tuple[int, ...] = ()) -> bytes:
    body = b"".join(BLOCKS[at] for at in indices)
    sizes = tuple(len(BLOCKS[at]) for at in indices)
    head = frames.Blocks(request=7, indices=indices, sizes=sizes, missing=missing)
    return frames.encode(head, len(body)) + body


def talk() -> tuple[StreamTalk, list[Exchange], str, str]:
    told: list[Exchange] = []
    made = StreamTalk(told.append)
    made.opened(0.0, "there", "back", A, B)
    return made, told, "there", "back"


@given(cuts=st.lists(st.integers(0, 400)))
def test_frames_are_read_from_any_pieces(cuts: list[int]) -> None:
    data = GET + blocks((0, 1)) + frames.encode(frames.Check(request=8, unit=CIDS[0]))
    reader, found = FrameReader(), []
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in itertools.pairwise(edges):
        found += reader.feed(data[start:end])
    assert [type(frame) for frame in found] == [frames.GetBlocks, frames.Blocks, frames.Check]


def test_what_is_no_frame_ends_the_reading() -> None:
    reader = FrameReader()
    assert reader.feed(b"\xff" * 100 + GET) == []
    assert reader.lost
    assert reader.feed(GET) == []


def test_blocks_end_when_all_came_or_are_missing() -> None:
    made, told, there, back = talk()
    made.wrote(1.0, there, GET)
    made.wrote(2.0, back, blocks((0,)))
    assert told == []
    made.wrote(3.0, back, blocks((), missing=(1,)))
    (one,) = told
    assert (one.start_s, one.stop_s, one.source, one.target) == (1.0, 3.0, A, B)
    assert (one.kind, one.about) == ("GetBlocks", f"{Cid(CIDS[0])} and 1 more")
    assert (one.answer, one.failure) == ("1 blocks", "1 missing")


def test_both_ends_ask_by_numbers_of_their_own() -> None:
    made, told, there, back = talk()
    made.wrote(1.0, there, frames.encode(frames.Release(request=1, reservation=5)))
    made.wrote(1.0, back, frames.encode(frames.Check(request=1, unit=CIDS[0])))
    made.wrote(2.0, back, frames.encode(frames.Released(request=1)))
    made.wrote(2.5, there, frames.encode(frames.Declined(request=1, code="busy", reason="later")))
    assert [(one.kind, one.source, one.answer) for one in told] == [
        ("Release", A, "released"),
        ("Check", B, "declined"),
    ]
    assert told[1].failure == "declined: busy (later)"


def test_what_was_asked_of_who_went_is_told_with_the_reason() -> None:
    made, told, there, back = talk()
    made.wrote(1.0, there, GET)
    made.ended(4.0, back, "the peer reset the stream")
    assert [(one.kind, one.failure) for one in told] == [
        ("handshake", "the stream ended: the peer reset the stream"),
        ("GetBlocks", "the stream ended: the peer reset the stream"),
    ]


def test_a_refused_handshake_says_why() -> None:
    made, told, _there, back = talk()
    made.wrote(0.2, back, frames.encode(frames.Refused(code="network", reason="another one")))
    assert [(one.kind, one.failure) for one in told] == [
        ("handshake", "refused: network (another one)")
    ]
