"""One connection's rules: who owes what, and what breaks them."""

from __future__ import annotations

import pytest

from dhtstore.errors import LocalProtocolError, RemoteProtocolError
from dhtstore.model.cid import Cid
from dhtstore.params import REQUESTS_IN_FLIGHT_MAX, UNKNOWN_FRAMES_MAX
from dhtstore.transfer.session import Answered, Asked, Cancelled, Reported, Session
from dhtstore.wire.frames import (
    Accepted,
    Blocks,
    Cancel,
    Declined,
    Frame,
    FrameResponse,
    GetBlocks,
    Release,
    Released,
    Replicating,
    UnknownFrame,
    UnknownRequest,
    Welcome,
    Wrong,
)
from tests.bids import some_replicate

CID = Cid.of(b"x").raw
TWO = GetBlocks(cids=(CID, CID))


def ask(session: Session) -> int:
    return session.open(TWO).request


def test_an_answer_may_come_in_parts_and_ends_with_the_last_index() -> None:
    session = Session()
    number = ask(session)
    part = Blocks(indices=(1,), sizes=(3,), request=number)
    assert session.receive(part) == Answered(number, part, final=False, wanted=True)
    last = Blocks(indices=(), sizes=(), missing=(0,), request=number)
    assert session.receive(last) == Answered(number, last, final=True, wanted=True)
    assert not session.busy


def test_an_answer_is_known_by_its_head_not_to_be_wanted() -> None:
    session = Session()
    number = ask(session)
    part = Blocks(indices=(1,), sizes=(3,), request=number)
    session.cancel(number)
    assert session.receive(part) == Answered(number, part, final=False, wanted=False)
    with pytest.raises(RemoteProtocolError):
        session.receive(Blocks(indices=(1,), sizes=(3,), request=number + 1))


def test_numbers_are_never_used_twice() -> None:
    session = Session()
    first = ask(session)
    session.receive(Declined(code="x", reason="", request=first))
    assert ask(session) != first


@pytest.mark.parametrize(
    "wrong",
    [
        Blocks(indices=(0,), sizes=(1,), request=99),
        Blocks(indices=(2,), sizes=(1,), request=1),
        Blocks(indices=(0, 0), sizes=(1, 1), request=1),
        Blocks(indices=(0,), sizes=(1,), missing=(0,), request=1),
        Blocks(indices=(0,), sizes=(1, 1), request=1),
        Blocks(indices=(), sizes=(), request=1),
        Accepted(reservation=1, expires_s=60.0, request=1),
        Replicating(held_bytes=1, request=1),
        Welcome(b"p" * 32),
    ],
    ids=repr,
)
def test_an_answer_that_was_not_asked_for_breaks_the_rules(wrong: Frame) -> None:
    session = Session()
    assert ask(session) == 1
    with pytest.raises(RemoteProtocolError):
        session.receive(wrong)


def test_an_index_answered_twice_breaks_the_rules() -> None:
    session = Session()
    number = ask(session)
    session.receive(Blocks(indices=(0,), sizes=(1,), request=number))
    with pytest.raises(RemoteProtocolError):
        session.receive(Blocks(indices=(0,), sizes=(1,), request=number))


def test_progress_does_not_end_a_request_and_declined_always_does() -> None:
    session = Session()
    number = session.open(some_replicate(5)).request
    event = session.receive(Replicating(held_bytes=10, request=number))
    assert isinstance(event, Answered)
    assert not event.final
    event = session.receive(Declined(code="no-room", reason="", request=number))
    assert isinstance(event, Answered)
    assert event.final


def test_word_of_bytes_held_is_progress_only_when_they_grow() -> None:
    session = Session()
    number = session.open(some_replicate(5)).request
    told = [
        session.receive(Replicating(held_bytes=held, request=number)) for held in (0, 0, 7, 3, 7, 8)
    ]
    grown = [event.progress for event in told if isinstance(event, Answered)]
    assert grown == [True, False, True, False, False, True]


def test_a_connection_is_busy_with_what_is_still_wanted() -> None:
    session = Session()
    number = ask(session)
    assert session.busy
    session.cancel(number)
    assert not session.busy
    session.receive(Release(reservation=1, request=4))
    assert session.busy


def test_reports_of_wrong_bytes_are_told_and_count_as_frames_that_ask_nothing() -> None:
    session = Session()
    for _ in range(UNKNOWN_FRAMES_MAX):
        assert session.receive(Wrong(b"a cid")) == Reported(b"a cid")
    with pytest.raises(RemoteProtocolError, match="in a row that ask nothing"):
        session.receive(Wrong(b"a cid"))


@pytest.mark.parametrize("between", [Cancel(9), UnknownRequest(request=1)], ids=repr)
def test_frames_that_are_owed_nothing_or_not_understood_start_no_new_count(between: Frame) -> None:
    session = Session()
    for _ in range(UNKNOWN_FRAMES_MAX):
        session.receive(UnknownFrame(0x6F))
    session.receive(between)
    with pytest.raises(RemoteProtocolError, match="in a row that ask nothing"):
        session.receive(UnknownFrame(0x6F))


@pytest.mark.parametrize(
    "between", [Release(reservation=1, request=5), Cancel(4), Released(request=1)], ids=repr
)
def test_frames_that_ask_or_answer_something_start_a_new_count(between: Frame) -> None:
    session = Session()
    session.open(Release(reservation=1))
    session.receive(Release(reservation=1, request=4))
    for _ in range(UNKNOWN_FRAMES_MAX):
        session.receive(UnknownFrame(0x6F))
    session.receive(between)
    assert session.receive(UnknownFrame(0x6F)) is None


def test_a_cancelled_request_holds_its_place_until_the_peer_ends_it() -> None:
    session = Session()
    numbers = [ask(session) for _ in range(REQUESTS_IN_FLIGHT_MAX)]
    assert session.cancel(numbers[0]) == Cancel(numbers[0])
    assert session.cancel(numbers[0]) is None
    with pytest.raises(LocalProtocolError):
        ask(session)
    event = session.receive(Declined(code="cancelled", reason="", request=numbers[0]))
    assert isinstance(event, Answered)
    assert not event.wanted
    ask(session)


def test_the_peer_may_not_have_more_in_flight_than_agreed() -> None:
    session = Session()
    for number in range(REQUESTS_IN_FLIGHT_MAX):
        assert isinstance(session.receive(Release(reservation=1, request=number)), Asked)
    with pytest.raises(RemoteProtocolError):
        session.receive(Release(reservation=1, request=REQUESTS_IN_FLIGHT_MAX))


def test_the_peer_may_not_use_a_number_twice_at_once() -> None:
    session = Session()
    session.receive(Release(reservation=1, request=4))
    with pytest.raises(RemoteProtocolError):
        session.receive(Release(reservation=1, request=4))


def test_our_answer_carries_the_peers_number_and_ends_its_request() -> None:
    session = Session()
    session.receive(Release(reservation=1, request=4))
    assert session.answer(4, Released()) == Released(request=4)
    assert not session.owed(4)
    with pytest.raises(LocalProtocolError):
        session.answer(4, Released())


@pytest.mark.parametrize(
    "wrong", [Accepted(reservation=1, expires_s=1.0), Blocks(indices=(5,), sizes=(1,))], ids=repr
)
def test_answering_with_the_wrong_thing_is_our_own_mistake(wrong: FrameResponse) -> None:
    session = Session()
    session.receive(GetBlocks(cids=(CID,), request=2))
    with pytest.raises(LocalProtocolError):
        session.answer(2, wrong)


def test_a_cancel_that_crossed_the_end_of_its_request_means_nothing() -> None:
    session = Session()
    session.receive(Release(reservation=1, request=4))
    assert session.receive(Cancel(4)) == Cancelled(4)
    session.answer(4, Declined(code="cancelled", reason=""))
    assert session.receive(Cancel(4)) is None
