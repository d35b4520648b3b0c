"""The local socket: commands on this machine talk to the node through it, and hand it open
files by descriptor, so that permissions are the caller's and no byte is copied on the way.

Only the same user gets in: the socket has mode 0600 and the kernel tells the peer's uid.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from dhtstore.errors import HomeInUse, HomeUnusable, RemoteProtocolError
from dhtstore.net.accepting import next_connection
from dhtstore.net.local.client import same_user
from dhtstore.operations.messages import (
    DESCRIPTORS_MAX,
    LENGTH_BYTES,
    REQUEST_MAX_BYTES,
    body_length,
)
from dhtstore.tasks import Supervisor, all_ended, tell_the_loop

CLIENTS_MAX: Final = 64
REQUEST_TIMEOUT_S: Final = 10.0  # a client that connects and stays silent
_INT_BYTES: Final = array.array("i").itemsize


class Send(Protocol):
    """Messages to the client.  What it does not read waits here; ``drain`` waits until that is
    little."""

    def __call__(self, message: bytes) -> None: ...

    async def drain(self) -> None: ...


Handler = Callable[[bytes, list[int], Send], Awaitable[None]]


class LocalServer:
    """Accepts commands and runs ``handler(request, descriptors, send)`` for each.

    The descriptors are closed when the handler ends.  It is cancelled when the client goes away.
    """

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path, self._handler = path, handler
        self._socket: socket.socket | None = None
        self._acceptor: asyncio.Task[None] | None = None
        self._serving = Supervisor(on_failure=tell_the_loop)  # a task for each command
        self._watching = Supervisor(on_failure=tell_the_loop)  # one for each that is answered

    async def open(self, duties: Supervisor) -> None:
        """Bind and serve; accepting is one of ``duties``, whose end their owner hears of.

        A socket nobody answers on is replaced; raises HomeInUse if somebody does, HomeUnusable
        if the path cannot be bound.
        """
        _remove_stale(self._path)
        self._socket = _bind(self._path)
        self._acceptor = duties.spawn_duty(self._accept(self._socket), "accept-commands")

    async def close(self, answer_s: float = 0.0) -> None:
        """Refuse new commands, and cancel those that are not answered within ``answer_s``."""
        if self._socket is None or self._acceptor is None:
            return
        self._acceptor.cancel()
        await all_ended([self._acceptor])
        await self._serving.idle(answer_s)
        await self._serving.close()
        await self._watching.close()
        self._socket.close()
        with contextlib.suppress(OSError):  # the next node here replaces it, or is elsewhere
            self._path.unlink(missing_ok=True)

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = await next_connection(listener)
            if len(self._serving) >= CLIENTS_MAX or not same_user(connection):
                connection.close()
                continue
            self._serving.spawn(self._serve(connection), "serve-command")

    async def _serve(self, connection: socket.socket) -> None:
        descriptors: list[int] = []
        with connection:
            try:
                connection.setblocking(False)
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    body = await _receive_request(connection, descriptors)
                await self._answer(connection, body, descriptors)
            except (RemoteProtocolError, TimeoutError, OSError):
                return  # the client went away or talks nonsense: its connection is closed
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    async def _answer(self, connection: socket.socket, body: bytes, descriptors: list[int]) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        serving = asyncio.current_task()
        left = self._watching.spawn(_cancel_when_left(reader, serving), "watch-client")
        try:
            await self._handler(body, descriptors, _Sending(writer))
            await writer.drain()
        except asyncio.CancelledError:
            if not left.done():  # it is the server that closes, not the client that left
                raise
        finally:
            left.cancel()
            await _close(writer)


class _Sending:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def __call__(self, message: bytes) -> None:
        self._writer.write(message)

    async def drain(self) -> None:
        await self._writer.drain()


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.listen(CLIENTS_MAX)
    except OSError as error:
        listener.close()
        raise HomeUnusable(f"cannot listen on {path}: {error}") from error
    finally:
        os.umask(mask)
    listener.setblocking(False)
    return listener


def _remove_stale(path: Path) -> None:
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise HomeInUse(f"cannot tell who listens on {path}: {error}") from error
        else:
            raise HomeInUse(f"another node answers on {path}")


async def _receive_request(connection: socket.socket, descriptors: list[int]) -> bytes:
    """One length-prefixed body; descriptors that come along are appended as they arrive, so
    that the caller closes them whatever happens."""
    data = bytearray()
    needed = LENGTH_BYTES
    while len(data) < needed:
        await _readable(connection)
        piece = _receive_piece(connection, needed - len(data), descriptors)
        if not piece:
            raise RemoteProtocolError("a local client left before its request was complete")
        data += piece
        if needed == LENGTH_BYTES == len(data):
            needed += body_length(bytes(data), REQUEST_MAX_BYTES)
    return bytes(data[LENGTH_BYTES:])


def _receive_piece(connection: socket.socket, count: int, descriptors: list[int]) -> bytes:
    """``socket.recv_fds`` ignores its flags on Python 3.11, hence recvmsg."""
    room = socket.CMSG_SPACE(DESCRIPTORS_MAX * _INT_BYTES)
    data, ancillary, flags, _ = connection.recvmsg(count, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers = array.array("i")
            numbers.frombytes(payload[: len(payload) - len(payload) % _INT_BYTES])
            descriptors.extend(numbers)
    if flags & socket.MSG_CTRUNC or len(descriptors) > DESCRIPTORS_MAX:
        raise RemoteProtocolError("too many descriptors with one request")
    return data


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _resolve, ready)
    try:
        await ready
    finally:
        loop.remove_reader(connection)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _cancel_when_left(
    reader: asyncio.StreamReader, serving: asyncio.Task[object] | None
) -> None:
    """A client says nothing after its request: whatever is read, it has left."""
    with contextlib.suppress(OSError):
        await reader.read(1)
    if serving is not None:
        serving.cancel()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
