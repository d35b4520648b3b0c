"""The UDP endpoint on real sockets: both families on one, and bounds."""

from __future__ import annotations

import asyncio
import socket

import pytest

from dhtstore.errors import AddressInUse
from dhtstore.model.contact import Address
from dhtstore.net.udp import RX_QUEUE_MAX, TX_QUEUE_MAX, UdpEndpoint
from dhtstore.tasks import Supervisor
from tests.integration.duties import Duties


async def test_a_dual_stack_socket_sees_and_answers_ipv4_as_ipv4() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    both, v4 = UdpEndpoint("::", 0), UdpEndpoint("127.0.0.1", 0)
    inbox: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
    answers: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
    await both.open(lambda *got: inbox.put_nowait(got), Supervisor())
    await v4.open(lambda *got: answers.put_nowait(got), Supervisor())
    assert v4.send(b"ask", Address("127.0.0.1", both.local.port))
    assert await asyncio.wait_for(inbox.get(), 5) == (b"ask", v4.local)
    assert both.send(b"answer", v4.local)
    data, source = await asyncio.wait_for(answers.get(), 5)
    assert (data, source.host) == (b"answer", "127.0.0.1")
    await both.close()
    await v4.close()


async def test_what_waits_to_be_sent_is_bounded() -> None:
    a, b = UdpEndpoint("127.0.0.1", 0), UdpEndpoint("127.0.0.1", 0)
    await a.open(lambda *_: None, Supervisor())
    await b.open(lambda *_: None, Supervisor())
    a._drained.clear()  # as the transport does when the kernel's buffer is full
    accepted = sum(a.send(b"x", b.local) for _ in range(TX_QUEUE_MAX + 50))
    assert accepted == TX_QUEUE_MAX
    await a.close()
    await b.close()


async def test_what_waits_to_be_received_is_bounded() -> None:
    a, b, got = UdpEndpoint("127.0.0.1", 0), UdpEndpoint("127.0.0.1", 0), list[bytes]()
    last = asyncio.Event()

    def receive(data: bytes, source: Address) -> None:
        got.append(data)
        if data == b"last":
            last.set()

    await a.open(lambda *_: None, Supervisor())
    await b.open(receive, Supervisor())
    for number in range(RX_QUEUE_MAX + 50):  # as the transport does, before the loop runs
        b._received.put_nowait((str(number).encode(), ("127.0.0.1", 1)))
    a.send(b"last", b.local)
    await last.wait()
    assert len(got) == RX_QUEUE_MAX + 1
    await a.close()
    await b.close()


async def test_an_error_of_the_callback_ends_the_duty_that_receives() -> None:
    duties, endpoint = Duties(), UdpEndpoint("127.0.0.1", 0)

    def broken(data: bytes, source: Address) -> None:
        raise KeyError("a bug")

    await endpoint.open(broken, duties)
    endpoint.send(b"x", endpoint.local)
    name, error = await duties.ended.get()
    assert (name, repr(error)) == ("receive-datagrams", "KeyError('a bug')")
    await endpoint.close()


async def test_a_socket_that_breaks_ends_the_duty_that_receives() -> None:
    duties, endpoint = Duties(), UdpEndpoint("127.0.0.1", 0)
    await endpoint.open(lambda *_: None, duties)
    assert endpoint._transport is not None
    endpoint._transport.abort()  # as asyncio does after an error of the socket
    assert (await duties.ended.get())[0] == "receive-datagrams"
    await endpoint.close()


async def test_a_socket_that_breaks_ends_the_duty_that_sends() -> None:
    duties, endpoint = Duties(), UdpEndpoint("127.0.0.1", 0)
    await endpoint.open(lambda *_: None, duties)
    assert endpoint._transport is not None
    endpoint._drained.clear()
    endpoint.send(b"waits", endpoint.local)
    endpoint._transport.close()
    ended = [(await duties.ended.get())[0] for _ in range(2)]
    assert sorted(ended) == ["receive-datagrams", "send-datagrams"]
    await endpoint.close()


async def test_closing_an_endpoint_ends_its_duties_without_a_failure() -> None:
    duties, endpoint = Duties(), UdpEndpoint("127.0.0.1", 0)
    await endpoint.open(lambda *_: None, duties)
    await endpoint.close()
    assert len(duties) == 0
    assert duties.ended.empty()


async def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(AddressInUse, match=r"192\.0\.2\.1"):
        await UdpEndpoint("192.0.2.1", 0).open(lambda *_: None, Supervisor())


@pytest.mark.parametrize(
    ("wide", "asker", "asked"),
    [
        ("0.0.0.0", "127.0.0.1", "127.0.0.2"),
        ("::", "127.0.0.1", "127.0.0.2"),
        ("::", "::1", "::1"),
    ],
)
async def test_an_answer_leaves_from_the_address_that_was_asked(
    wide: str, asker: str, asked: str
) -> None:
    """All of 127.0.0.0/8 is this machine; the kernel alone would answer from 127.0.0.1."""
    answering, asking = UdpEndpoint(wide, 0), UdpEndpoint(asker, 0)
    answers: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
    await answering.open(lambda data, source: _both(answering, data, source), Supervisor())
    await asking.open(lambda *got: answers.put_nowait(got), Supervisor())
    to = Address(asked, answering.local.port)
    assert asking.send(b"ask", to)
    assert await asyncio.wait_for(answers.get(), 5) == (b"ask", to)
    await answering.close()
    await asking.close()


def _both(endpoint: UdpEndpoint, data: bytes, source: Address) -> None:
    assert endpoint.send(data, source)
    assert not endpoint.send(data, Address(source.host, 0))


async def test_only_answers_leave_from_the_address_that_was_asked() -> None:
    wide, asking = UdpEndpoint("0.0.0.0", 0), UdpEndpoint("127.0.0.1", 0)
    asked, answers = asyncio.Event(), asyncio.Queue[tuple[bytes, Address]]()
    await wide.open(lambda *_: asked.set(), Supervisor())
    await asking.open(lambda *got: answers.put_nowait(got), Supervisor())
    assert asking.send(b"ask", Address("127.0.0.2", wide.local.port))
    await asyncio.wait_for(asked.wait(), 5)
    assert wide.send(b"by itself", asking.local)
    source = Address("127.0.0.1", wide.local.port)
    assert await asyncio.wait_for(answers.get(), 5) == (b"by itself", source)
    await wide.close()
    await asking.close()


async def test_an_answer_that_waits_in_line_leaves_from_there_too() -> None:
    wide, asking = UdpEndpoint("0.0.0.0", 0), UdpEndpoint("127.0.0.1", 0)
    answers: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()

    def answer(data: bytes, source: Address) -> None:
        wide._drained.clear()  # as the transport does when the kernel's buffer is full
        wide.send(data, source)

    await wide.open(answer, Supervisor())
    await asking.open(lambda *got: answers.put_nowait(got), Supervisor())
    to = Address("127.0.0.2", wide.local.port)
    assert asking.send(b"ask", to)
    assert await asyncio.wait_for(answers.get(), 5) == (b"ask", to)
    wide._drained.set()
    await wide.close()
    await asking.close()
