"""One connection's rules: who owes what, and what breaks them."""

from __future__ import annotations

import pytest

from dhtstore.errors import LocalProtocolError, RemoteProtocolError
from dhtstore.model.cid import Cid
from dhtstore.params import REQUESTS_IN_FLIGHT_MAX
from dhtstore.transfer.session import Answered, Asked, Cancelled, Session
from dhtstore.wire.frames import (
    Accepted,
    Blocks,
    Cancel,
    Declined,
    GetBlocks,
    Message,
    Progress,
    Release,
    Released,
    Replicate,
    Response,
    Welcome,
)

CID = Cid.of(b"x").raw
TWO = GetBlocks((CID, CID))


def ask(session: Session) -> int:
    return session.open(TWO).request


def test_an_answer_may_come_in_parts_and_ends_with_the_last_index() -> None:
    session = Session()
    number = ask(session)
    part = Blocks((1,), (3,), request=number)
    assert session.receive(part) == Answered(number, part, final=False, wanted=True)
    last = Blocks((), (), (0,), request=number)
    assert session.receive(last) == Answered(number, last, final=True, wanted=True)
    assert not session.busy


def test_numbers_are_never_used_twice() -> None:
    session = Session()
    first = ask(session)
    session.receive(Declined("x", "", request=first))
    assert ask(session) != first


@pytest.mark.parametrize(
    "wrong",
    [
        Blocks((0,), (1,), request=99),
        Blocks((2,), (1,), request=1),
        Blocks((0, 0), (1, 1), request=1),
        Blocks((0,), (1,), (0,), request=1),
        Blocks((0,), (1, 1), request=1),
        Blocks((), (), request=1),
        Accepted(1, 60.0, request=1),
        Progress(1, request=1),
        Welcome(),
    ],
    ids=repr,
)
def test_an_answer_that_was_not_asked_for_breaks_the_rules(wrong: Message) -> None:
    session = Session()
    assert ask(session) == 1
    with pytest.raises(RemoteProtocolError):
        session.receive(wrong)


def test_an_index_answered_twice_breaks_the_rules() -> None:
    session = Session()
    number = ask(session)
    session.receive(Blocks((0,), (1,), request=number))
    with pytest.raises(RemoteProtocolError):
        session.receive(Blocks((0,), (1,), request=number))


def test_progress_does_not_end_a_request_and_declined_always_does() -> None:
    session = Session()
    number = session.open(Replicate(5)).request
    event = session.receive(Progress(10, request=number))
    assert isinstance(event, Answered)
    assert not event.final
    event = session.receive(Declined("no-room", "", request=number))
    assert isinstance(event, Answered)
    assert event.final


def test_a_cancelled_request_holds_its_place_until_the_peer_ends_it() -> None:
    session = Session()
    numbers = [ask(session) for _ in range(REQUESTS_IN_FLIGHT_MAX)]
    assert session.cancel(numbers[0]) == Cancel(numbers[0])
    assert session.cancel(numbers[0]) is None
    with pytest.raises(LocalProtocolError):
        ask(session)
    event = session.receive(Declined("cancelled", "", request=numbers[0]))
    assert isinstance(event, Answered)
    assert not event.wanted
    ask(session)


def test_the_peer_may_not_have_more_in_flight_than_agreed() -> None:
    session = Session()
    for number in range(REQUESTS_IN_FLIGHT_MAX):
        assert isinstance(session.receive(Release(1, request=number)), Asked)
    with pytest.raises(RemoteProtocolError):
        session.receive(Release(1, request=REQUESTS_IN_FLIGHT_MAX))


def test_the_peer_may_not_use_a_number_twice_at_once() -> None:
    session = Session()
    session.receive(Release(1, request=4))
    with pytest.raises(RemoteProtocolError):
        session.receive(Release(1, request=4))


def test_our_answer_carries_the_peers_number_and_ends_its_request() -> None:
    session = Session()
    session.receive(Release(1, request=4))
    assert session.answer(4, Released()) == Released(request=4)
    assert not session.owed(4)
    with pytest.raises(LocalProtocolError):
        session.answer(4, Released())


@pytest.mark.parametrize("wrong", [Accepted(1, 1.0), Blocks((5,), (1,))], ids=repr)
def test_answering_with_the_wrong_thing_is_our_own_mistake(wrong: Response) -> None:
    session = Session()
    session.receive(GetBlocks((CID,), request=2))
    with pytest.raises(LocalProtocolError):
        session.answer(2, wrong)


def test_a_cancel_that_crossed_the_end_of_its_request_means_nothing() -> None:
    session = Session()
    session.receive(Release(1, request=4))
    assert session.receive(Cancel(4)) == Cancelled(4)
    session.answer(4, Declined("cancelled", ""))
    assert session.receive(Cancel(4)) is None
