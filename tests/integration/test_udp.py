"""The UDP endpoint on real sockets: both families on one, and bounds."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from dhtstore.errors import AddressInUse
from dhtstore.model.contact import Address
from dhtstore.net.udp import DRAIN_MAX_S, RECEIVE_BUFFER_BYTES, TX_QUEUE_MAX, UdpEndpoint
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


def _fill(to: UdpEndpoint, count: int, size_bytes: int = 100) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        for number in range(count):
            sending.sendto(number.to_bytes(4, "big").ljust(size_bytes, b"x"), to.local)


async def test_what_has_arrived_is_taken_in_few_turns_of_the_loop() -> None:
    got, turns = list[int](), 0
    endpoint = UdpEndpoint("127.0.0.1", 0)
    await endpoint.open(lambda data, _: got.append(int.from_bytes(data[:4], "big")), Supervisor())
    _fill(endpoint, 1000)
    while len(got) < 1000:
        turns += 1
        await asyncio.sleep(0)
    assert got == list(range(1000))
    assert turns < 100  # 1,000 when the transport takes one a turn
    assert not endpoint.behind
    await endpoint.close()


async def test_what_takes_long_leaves_turns_to_others() -> None:
    got, endpoint = list[bytes](), UdpEndpoint("127.0.0.1", 0)

    def slow(data: bytes, source: Address) -> None:
        got.append(data)
        until_s = time.monotonic() + DRAIN_MAX_S
        while time.monotonic() < until_s:
            pass

    await endpoint.open(slow, Supervisor())
    _fill(endpoint, 20)
    seen = []
    while len(got) < 20:
        await asyncio.sleep(0)
        seen.append((len(got), endpoint.behind))
    assert {(number, True) for number in range(1, 20)} <= set(seen), "one a turn, and more waits"
    assert endpoint.lost == 0
    await endpoint.close()


async def test_what_the_kernel_dropped_is_known_when_the_rest_is_read() -> None:
    endpoint = UdpEndpoint("127.0.0.1", 0)
    got = list[bytes]()
    await endpoint.open(lambda data, _: got.append(data), Supervisor())
    sent = 2 * RECEIVE_BUFFER_BYTES // 500  # and so much room beside each
    _fill(endpoint, sent, 1000)
    for _ in range(sent):
        await asyncio.sleep(0)
    assert len(got) + endpoint.lost == sent
    await endpoint.close()


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
