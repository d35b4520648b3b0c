"""One UDP socket on asyncio-dgram, read in batches, with a bounded queue of what is to be sent.

On all addresses of a machine it answers from the one that was asked (``wide_socket``).

asyncio's transport reads one datagram a turn of the loop, which costs ten times what reading does,
and asyncio-dgram queues them without bound.  So its queue is replaced by one that hands each on at
once and then takes what else the kernel holds, for a millisecond at most: the kernel's buffer is
the queue, and drops what does not fit.  A bad destination closes asyncio-dgram's transport for
ever, so every destination is checked first.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
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

TX_QUEUE_MAX: Final = 1024
RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024  # the kernel cuts it to net.core.rmem_max
DRAIN_MAX_S: Final = 0.001  # of the loop for what has arrived, before others have a turn
_READ_BYTES: Final = DATAGRAM_MAX_BYTES + 1  # of a longer one that is enough to see that it is
_CHECKED_MAX: Final = 4096
_SO_MEMINFO: Final = 55  # asm-generic/socket.h
_MEMINFO: Final = struct.Struct("9I")
_UNREAD, _DROPPED = 0, 8  # SK_MEMINFO_RMEM_ALLOC in bytes, SK_MEMINFO_DROPS in datagrams
_Deliver = Callable[[bytes, Any], None]


class _Inflow(asyncio.Queue[Any]):
    """What asyncio-dgram's protocol puts here is delivered at once, and what else has arrived.

    What stays to be got are ends: (None, None) of the stream, (error, None) of ``deliver``."""

    def __init__(self, sock: socket.socket, deliver: _Deliver) -> None:
        super().__init__()
        self._sock, self._deliver = sock, deliver
        self.behind, self.lost = False, 0

    @property
    def more(self) -> bool:
        """Whether more has arrived than was read in time."""
        return self.behind and bool(_memory(self._sock)[_UNREAD])

    def put_nowait(self, item: tuple[bytes | None, Any]) -> None:
        data, source = item
        if data is None:
            super().put_nowait(item)
            return
        try:
            self._drain(data, source)
        except Exception as error:
            self._deliver = _ignore
            super().put_nowait((error, None))

    def _drain(self, data: bytes, source: Any) -> None:
        deliver, read, now_s = self._deliver, self._sock.recvfrom, time.monotonic
        until_s = now_s() + DRAIN_MAX_S
        while True:
            deliver(data, source)
            if now_s() >= until_s:
                break
            try:
                data, source = read(_READ_BYTES)
            except OSError:  # there is nothing more, or it was closed meanwhile
                self.behind = False
                return
        self.behind = True
        self.lost = max(self.lost, _memory(self._sock)[_DROPPED])


def _ignore(data: bytes, source: Any) -> None:
    """After an error of whoever received."""


def _memory(sock: socket.socket) -> tuple[int, ...]:
    """What the kernel tells of a socket's buffers (sock_diag(7)): nothing elsewhere."""
    try:
        return _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))
    except (OSError, struct.error):
        return (0,) * 9


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
        self._received: _Inflow | None = None
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

    @property
    def behind(self) -> bool:
        """See ``net.ports.Endpoint.behind``."""
        return self._received is not None and self._received.more

    @property
    def lost(self) -> int:
        """See ``net.ports.Endpoint.lost``."""
        return 0 if self._received is None else self._received.lost

    async def open(self, on_datagram: Callable[[bytes, Address], None], duties: Supervisor) -> None:
        sock = self._bind()
        received = self._received = _Inflow(sock, self._delivery(on_datagram))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Protocol(received, self._errors, self._drained), sock=sock
        )
        self._transport = transport
        name = transport.get_extra_info("sockname")
        self._local = Address(name[0], name[1])
        stream = DatagramServer(cast(Any, transport), received, self._errors, self._drained)
        self._stream = stream
        self._tasks = [
            duties.spawn_duty(self._receive(stream), "receive-datagrams"),
            duties.spawn_duty(self._transmit(stream), "send-datagrams"),
        ]

    def _delivery(self, on_datagram: Callable[[bytes, Address], None]) -> _Deliver:
        """Takes what the socket reads."""
        if self._wide:
            return lambda data, ends: self._receive_wide(on_datagram, data, ends)
        if self._family == 6:
            return lambda data, source: on_datagram(data, address_of(source))
        make = Address._make
        return lambda data, source: on_datagram(data, make(source))

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

    async def _receive(self, stream: DatagramServer) -> None:
        """Until the socket breaks, or whoever receives does."""
        ended: Any = await stream.recv()
        raise ended[0]

    def _receive_wide(
        self, on_datagram: Callable[[bytes, Address], None], data: bytes, ends: Ends
    ) -> None:
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
