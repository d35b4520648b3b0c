"""The real StreamTransport: TLS 1.3 over TCP, accepted and dialled with one node's key."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from dhtstore.errors import (
    ConnectionLost,
    DhtstoreError,
    DialRefused,
    DialTimedOut,
    RefusedByNetwork,
)
from dhtstore.model.contact import Address, routable, subnet
from dhtstore.model.identity import PublicKey
from dhtstore.net.accepting import Door, next_connection, oldest_of_busiest, turn_away
from dhtstore.net.addresses import address_of, cannot_listen
from dhtstore.net.certificate import client_context, peer_key, server_context
from dhtstore.net.ports import Stream
from dhtstore.net.tls_stream import RECEIVE_BYTES, TlsStream
from dhtstore.params import (
    ALPN,
    HANDSHAKE_TIMEOUT_S,
    INBOUND_HANDSHAKES_MAX,
    STREAMS_ACCEPTED_MAX,
)
from dhtstore.tasks import Supervisor, all_ended, tell_the_loop

SOCKET_BUFFER_BYTES: Final = 4 * 1024 * 1024
NEAR_BUFFER_BYTES: Final = 2 * 1024 * 1024  # of a stream between processes of one machine
LISTEN_BACKLOG: Final = 128

OnStream = Callable[[Stream], Awaitable[None]]


class TlsTransport:
    """Implements ports.StreamTransport on ``host``, an IP literal of this machine."""

    def __init__(self, host: str, node_seed: bytes) -> None:
        """``node_seed`` is the 32-byte Ed25519 private key of the node (RFC 8032)."""
        self._host = host
        self._server, self._binding = server_context(node_seed)
        self._client = client_context()
        self._receive = memoryview(bytearray(RECEIVE_BYTES))
        self._socket: socket.socket | None = None
        self._acceptor: asyncio.Task[None] | None = None
        self._serving = Supervisor(on_failure=tell_the_loop)  # a task for each accepted stream
        self._handshakes: dict[TlsStream, str] = {}  # accepted, not secure yet; their origins
        self._dialled: dict[TlsStream, None] = {}

    @property
    def port(self) -> int:
        """Where it listens; 0 before ``listen``."""
        return 0 if self._socket is None else int(self._socket.getsockname()[1])

    async def listen(self, port: int, on_stream: OnStream, duties: Supervisor) -> None:
        self._socket = _listening_socket(self._host, port)
        accepting = self._accept(self._socket, on_stream)
        self._acceptor = duties.spawn_duty(accepting, "accept-streams")

    async def dial(self, to: Address, expected_key: PublicKey | None, timeout_s: float) -> Stream:
        if not routable(to):
            raise DialRefused(f"{to} is not an address of one host")
        stream = TlsStream(to, self._client, self._receive, server=False)
        try:
            async with asyncio.timeout(timeout_s):
                await self._connect(stream)
        except TimeoutError as error:
            raise DialTimedOut(f"{to} did not answer within {timeout_s:g} s") from error
        except OSError as error:
            raise DialRefused(f"cannot connect to {to}: {_reason(error)}") from error
        self._check_key(stream, expected_key)
        self._dialled[stream] = None
        stream.on_closed(lambda: self._dialled.pop(stream, None))
        return stream

    async def close(self) -> None:
        if self._acceptor is not None:
            self._acceptor.cancel()
            await all_ended([self._acceptor])
        if self._socket is not None:
            self._socket.close()
        for stream in [*self._dialled]:
            stream.abort()
            await stream.close()
        await self._serving.close()

    # --- dialling ---------------------------------------------------------------------------

    async def _connect(self, stream: TlsStream) -> None:
        loop = asyncio.get_running_loop()
        sock = _new_socket(stream.remote.host)
        try:
            await loop.sock_connect(sock, stream.remote)
            await _secure(stream, sock)
        except BaseException:
            sock.close()
            raise

    def _check_key(self, stream: TlsStream, expected_key: PublicKey | None) -> None:
        try:
            stream.remote_key, stream.binding = peer_key(stream.tls)
            if expected_key is not None and stream.remote_key != expected_key:
                raise RefusedByNetwork(f"another node than expected answers at {stream.remote}")
        except RefusedByNetwork:
            stream.abort()
            raise

    # --- accepting --------------------------------------------------------------------------

    async def _accept(self, listening: socket.socket, on_stream: OnStream) -> None:
        loop = asyncio.get_running_loop()
        door = Door(loop.time())
        while True:
            sock, name = await next_connection(listening)
            peer, full = address_of(name), len(self._serving) >= STREAMS_ACCEPTED_MAX
            if full or not door.admits(peer.host, loop.time()):
                turn_away(sock)
            else:
                if len(self._handshakes) >= INBOUND_HANDSHAKES_MAX:
                    oldest = oldest_of_busiest(self._handshakes)
                    del self._handshakes[oldest]
                    oldest.abort()
                self._serving.spawn(self._serve(sock, peer, on_stream), "serve-stream")
            await asyncio.sleep(0)  # it begins before the next one is counted; others have a turn

    async def _serve(self, sock: socket.socket, peer: Address, on_stream: OnStream) -> None:
        stream = TlsStream(peer, self._server, self._receive, server=True)
        stream.binding = self._binding
        self._handshakes[stream] = subnet(peer)
        try:
            secure = await self._handshake(sock, stream)
        finally:
            self._handshakes.pop(stream, None)
        if not secure:
            return
        try:
            await on_stream(stream)
        except DhtstoreError:
            return  # of the peer: it costs only its stream
        finally:
            stream.abort()

    async def _handshake(self, sock: socket.socket, stream: TlsStream) -> bool:
        """TLS with a client about whom nothing is known; False when it failed, whatever it sent."""
        try:
            _tune(sock, stream.remote.host)
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await _secure(stream, sock)
        except (OSError, ConnectionLost):  # also ssl.SSLError, and TimeoutError
            sock.close()
            return False
        if stream.tls.selected_alpn_protocol() != ALPN:
            stream.abort()
            return False
        return True


async def _secure(stream: TlsStream, sock: socket.socket) -> None:
    """Put TLS on a connected socket; raises OSError and ConnectionLost."""
    await asyncio.get_running_loop().create_connection(lambda: stream, sock=sock)
    try:
        await stream.handshake()
    except BaseException:
        stream.abort()
        raise


def _listening_socket(host: str, port: int) -> socket.socket:
    sock = _new_socket(host)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # as the UDP socket
        sock.bind((host, port))
        sock.listen(LISTEN_BACKLOG)
    except OSError as error:
        sock.close()
        raise cannot_listen(Address(host, port), error) from error
    return sock


def _new_socket(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    _tune(sock, host)
    return sock


def _tune(sock: socket.socket, peer: str) -> None:
    """Accepted sockets inherit the receive buffer, which must be set before connecting.

    BBR keeps its rate where packets get lost; on loopback none do, and its pacing costs half a
    second of processor time a gigabyte.  There nothing is on its way either: a larger buffer only
    lets more wait that is lost where this process is killed.
    """
    near = ipaddress.ip_address(peer).is_loopback
    congestion, buffer_bytes = (
        (b"cubic", NEAR_BUFFER_BYTES) if near else (b"bbr", SOCKET_BUFFER_BYTES)
    )
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    if hasattr(socket, "TCP_CONGESTION"):
        with suppress(OSError):  # a kernel without it keeps its own; loss then costs more
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason'})"
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
