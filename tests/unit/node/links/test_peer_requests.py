"""What a peer asks: handled, declined, cancelled, each with one end, and counted until then."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from dhtstore.errors import ConnectionLost, LocalProtocolError, NoRoom
from dhtstore.node.links import peer_requests
from dhtstore.node.links.outbox import Outbox
from dhtstore.node.links.peer_requests import Backlog, Handle, PeerRequests, Reply
from dhtstore.transfer.session import Session
from dhtstore.wire.frames import Declined, Frame, Release, Released
from tests.unit.node.links.ends import Ends, play, read


@dataclass(frozen=True, slots=True)
class Serving:
    """Requests of the peer over a stream."""

    requests: PeerRequests
    session: Session
    outbox: Outbox
    backlog: Backlog

    @classmethod
    def over(cls, ends: Ends, backlog: Backlog | None = None, origin: str = "a") -> Serving:
        session, outbox, shared = Session(), Outbox(ends.near, ends.clock), backlog or Backlog()
        ends.tasks.spawn(outbox.run(), "send")
        requests = PeerRequests(session, outbox, ends.tasks, shared, origin)
        return cls(requests, session, outbox, shared)

    def hear(self, number: int, handle: Handle | None) -> bool:
        """Whether it was begun."""
        request = Release(reservation=1, request=number)
        self.session.receive(request)
        if handle is None:
            self.requests.decline_unserved(request)
            return False
        return self.requests.begin(request, handle)


async def answer(ends: Ends) -> Frame:
    return (await read(ends.far))[0]


async def release(request: Release, reply: Reply) -> None:
    await reply(Released())


async def never(request: Release, reply: Reply) -> None:
    await asyncio.Event().wait()


async def full(request: Release, reply: Reply) -> None:
    raise NoRoom("the disk is full")


async def silent(request: Release, reply: Reply) -> None:
    """Ends without an answer."""


async def twice(request: Release, reply: Reply) -> None:
    await reply(Released())
    await reply(Released())


@pytest.mark.parametrize(
    ("handle", "expected"),
    [
        (release, Released(request=5)),
        (None, Declined(code="unsupported", reason="this node does not serve that", request=5)),
        (full, Declined(code="no-room", reason="the disk is full", request=5)),
        (silent, Declined(code="internal", reason="this node could not answer", request=5)),
    ],
    ids=["answered", "not served", "refused", "forgotten"],
)
def test_each_request_gets_an_end(handle: Handle | None, expected: Frame) -> None:
    async def scene(ends: Ends) -> None:
        serving = Serving.over(ends)
        serving.hear(5, handle)
        assert await answer(ends) == expected
        assert not serving.session.busy

    play(scene)


def test_a_second_answer_is_a_bug_of_the_handler() -> None:
    async def scene(ends: Ends) -> None:
        outcome: list[BaseException] = []

        async def handle(request: Release, reply: Reply) -> None:
            try:
                await twice(request, reply)
            except LocalProtocolError as error:
                outcome.append(error)

        Serving.over(ends).hear(5, handle)
        assert await answer(ends) == Released(request=5)
        assert [str(error) for error in outcome] == ["request 5 of the peer has ended"]

    play(scene)


def test_a_cancelled_request_ends_at_once_and_its_work_too() -> None:
    async def scene(ends: Ends) -> None:
        serving = Serving.over(ends)
        serving.hear(5, never)
        serving.requests.cancel(5)
        assert await answer(ends) == Declined(code="cancelled", reason="as asked", request=5)
        assert serving.backlog == Backlog()

    play(scene)


def test_nothing_is_answered_when_the_link_has_ended() -> None:
    async def scene(ends: Ends) -> None:
        serving, go_on, lost = Serving.over(ends), asyncio.Event(), list[BaseException]()

        async def late(request: Release, reply: Reply) -> None:
            await go_on.wait()
            try:
                await reply(Released())
            except ConnectionLost as error:
                lost.append(error)

        serving.hear(5, late)
        serving.outbox.close(ConnectionLost("gone"))
        go_on.set()
        await asyncio.sleep(0.1)
        assert [str(error) for error in lost] == ["gone"]
        serving.hear(6, never)
        serving.requests.cancel_all()
        await asyncio.sleep(0.1)
        assert serving.backlog == Backlog()

    play(scene)


def test_more_requests_than_the_share_of_a_peer_are_declined_where_too_many_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peer_requests, "PEER_REQUESTS_MAX", 4)

    async def scene(ends: Ends) -> None:
        backlog = Backlog()
        greedy, modest = Serving.over(ends, backlog), Serving.over(ends, backlog)
        assert modest.hear(1, never)
        assert [greedy.hear(number, never) for number in range(4)] == [True] * 3 + [False]
        declined = await answer(ends)
        assert isinstance(declined, Declined)
        assert (declined.request, declined.code) == (3, "busy")
        assert modest.hear(2, never)
        for number in range(3):
            greedy.requests.cancel(number)
        await asyncio.sleep(0.1)
        assert greedy.hear(4, never)

    play(scene)


def test_an_origin_has_one_share_however_many_links_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_requests, "PEER_REQUESTS_MAX", 8)

    async def scene(ends: Ends) -> None:
        backlog = Backlog()
        crowd = [Serving.over(ends, backlog) for _ in range(8)]
        other = Serving.over(ends, backlog, "another origin")
        assert [each.hear(1, never) for each in crowd] == [True] * 8
        assert [other.hear(number, never) for number in range(4)] == [True] * 4
        assert [each.hear(2, never) for each in crowd] == [False] * 8
        assert not other.hear(4, never)

    play(scene)
