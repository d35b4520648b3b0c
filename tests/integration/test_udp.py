"""The UDP endpoint on real sockets: both families on one, and bounds."""

from __future__ import annotations

import asyncio
import socket

import pytest

from dhtstore.errors import AddressInUse
from dhtstore.model.contact import Address
from dhtstore.net.udp import RX_QUEUE_MAX, TX_QUEUE_MAX, UdpEndpoint


async def test_a_dual_stack_socket_sees_and_answers_ipv4_as_ipv4() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    both, v4 = UdpEndpoint("::", 0), UdpEndpoint("127.0.0.1", 0)
    inbox: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
    answers: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
    await both.open(lambda *got: inbox.put_nowait(got))
    await v4.open(lambda *got: answers.put_nowait(got))
    assert v4.send(b"ask", Address("127.0.0.1", both.local.port))
    assert await asyncio.wait_for(inbox.get(), 5) == (b"ask", v4.local)
    assert both.send(b"answer", v4.local)
    data, source = await asyncio.wait_for(answers.get(), 5)
    assert (data, source.host) == (b"answer", "127.0.0.1")
    await both.close()
    await v4.close()


async def test_queues_drop_and_count_beyond_their_bounds() -> None:
    a, b = UdpEndpoint("127.0.0.1", 0), UdpEndpoint("127.0.0.1", 0)
    await a.open(lambda *_: None)
    await b.open(lambda *_: None)
    a._drained.clear()  # as the transport does when the kernel's buffer is full
    accepted = sum(a.send(b"x", b.local) for _ in range(TX_QUEUE_MAX + 50))
    assert accepted == TX_QUEUE_MAX
    assert a.dropped_sending == 50
    await a.close()
    await b.close()
    assert RX_QUEUE_MAX > 0


async def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(AddressInUse, match=r"192\.0\.2\.1"):
        await UdpEndpoint("192.0.2.1", 0).open(lambda *_: None)
