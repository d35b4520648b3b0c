"""One UDP socket on asyncio-dgram, with bounded queues in both directions.

On all addresses of a machine it answers from the one that was asked (``wide_socket``).

asyncio-dgram's receive queue has no bound and a bad destination closes its transport for ever,
so the queue is replaced by one that drops and counts, and every destination is checked first.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from asyncio_dgram.aio import DatagramServer, Protocol

from dhtstore.errors import LocalProtocolError
from dhtstore.model.contact import Address, routable
from dhtstore.net.addresses import MAPPED, address_of, cannot_listen, in_reach, is_wide
from dhtstore.net.wide_socket import Ends, WideSocket
from dhtstore.params import DATAGRAM_MAX_BYTES
from dhtstore.tasks import Supervisor, all_ended

RX_QUEUE_MAX: Final = 1024
TX_QUEUE_MAX: Final = 1024
RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024  # the kernel cuts it to net.core.rmem_max
_CHECKED_MAX: Final = 4096


class _DroppingQueue(asyncio.Queue[Any]):
    """Drops what does not fit; the end-of-stream mark always fits."""

    def put_nowait(self, item: tuple[bytes | None, Any]) -> None:
        if self.qsize() < RX_QUEUE_MAX or item[0] is None:
            super().put_nowait(item)


class _ForgettingQueue(asyncio.Queue[Exception]):
    """Stays empty: asyncio-dgram's own queue of errors grows without bound and raises one peer's
    error from a send to another."""

    def put_nowait(self, item: Exception) -> None:
        """A datagram that did not arrive is no more than lost."""


class UdpEndpoint:
    """``net.ports.Endpoint`` on a real socket.  ``host`` may be 0.0.0.0, :: or one address."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._stream: DatagramServer | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._local: Address | None = None
        self._family = 6 if ":" in host else 4
        self._wide = is_wide(Address(host, port))
        self._asked: tuple[Address, Ends] | None = None  # by the datagram that is handled just now
        self._received: _DroppingQueue = _DroppingQueue()
        self._errors = _ForgettingQueue()
        self._waiting: deque[tuple[bytes, Any]] = deque()
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._checked: dict[Address, tuple[str, int] | Ends | None] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def local(self) -> Address:
        if self._local is None:
            raise LocalProtocolError("an endpoint has no address before it is open")
        return self._local

    async def open(self, on_datagram: Callable[[bytes, Address], None], duties: Supervisor) -> None:
        sock = self._bind()
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Protocol(self._received, self._errors, self._drained), sock=sock
        )
        self._transport = transport
        name = transport.get_extra_info("sockname")
        self._local = Address(name[0], name[1])
        stream = DatagramServer(cast(Any, transport), self._received, self._errors, self._drained)
        self._stream = stream
        receive = self._receive_wide if self._wide else self._receive
        self._tasks = [
            duties.spawn_duty(receive(stream, on_datagram), "receive-datagrams"),
            duties.spawn_duty(self._transmit(stream), "send-datagrams"),
        ]

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if self._family == 6 else socket.AF_INET
        sock = WideSocket(family) if self._wide else socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            if self._family == 6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind((self._host, self._port))
        except OSError as error:
            sock.close()
            raise cannot_listen(Address(self._host, self._port), error) from error
        return sock

    async def _receive(
        self, stream: DatagramServer, on_datagram: Callable[[bytes, Address], None]
    ) -> None:
        while True:
            data, source = await stream.recv()
            on_datagram(data, address_of(source))

    async def _receive_wide(
        self, stream: DatagramServer, on_datagram: Callable[[bytes, Address], None]
    ) -> None:
        ends: Any  # ``Ends``: what WideSocket gives, the stream hands on
        while True:
            data, ends = await stream.recv()
            source = address_of(ends.peer)
            self._asked = source, ends
            on_datagram(data, source)
            self._asked = None

    def send(self, data: bytes, to: Address) -> bool:
        """See ``net.ports.Endpoint.send``."""
        destination = self._destination(to)
        transport = self._transport
        if destination is None or transport is None or not 0 < len(data) <= DATAGRAM_MAX_BYTES:
            return False
        if self._drained.is_set() and not self._waiting:
            transport.sendto(data, destination)
            return True
        return self._wait_in_line(data, destination)

    def _wait_in_line(self, data: bytes, destination: tuple[str, int] | Ends) -> bool:
        """The kernel's buffer is full: keep the datagram, if there is room, until it is not."""
        if len(self._waiting) >= TX_QUEUE_MAX:
            return False
        self._waiting.append((data, destination))
        self._wake.set()
        return True

    async def _transmit(self, stream: DatagramServer) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await stream.send(*self._waiting.popleft())

    def _destination(self, to: Address) -> tuple[str, int] | Ends | None:
        """The socket's form of an address, None if nothing can be sent there."""
        if self._asked is not None and self._asked[0] == to:
            return self._asked[1]
        try:
            return self._checked[to]
        except KeyError:
            if len(self._checked) >= _CHECKED_MAX:
                self._checked.clear()
            form = self._socket_form(to)
            self._checked[to] = found = Ends(form, b"") if form and self._wide else form
            return found

    def _socket_form(self, to: Address) -> tuple[str, int] | None:
        if not routable(to):
            return None
        if not in_reach(Address(self._host, self._port), to):
            return None
        mapped = self._family == 6 and ":" not in to.host
        return (MAPPED + to.host if mapped else to.host), to.port

    async def close(self) -> None:
        stream, self._stream, self._transport = self._stream, None, None
        if stream is None:
            return
        for task in self._tasks:
            task.cancel()
        await all_ended(self._tasks)
        stream.close()
        self._waiting.clear()
