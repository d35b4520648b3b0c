"""Simulated streams: dialled, accepted, and how they end.

A dial costs two round trips (TCP and TLS 1.3).  A stream is two pipes, one per direction.  An
orderly close arrives behind the data; an abort overtakes what still waits to be sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from dhtstore.errors import AddressInUse, ConnectionLost, DhtstoreError, RefusedByNetwork
from dhtstore.model.contact import Address, routable
from dhtstore.model.identity import PublicKey
from dhtstore.net.ports import Stream
from dhtstore.params import CONNECTIONS_MAX, INBOUND_HANDSHAKES_MAX
from dhtstore.tasks import all_ended
from simulations.world.network.pipe import Pipe

if TYPE_CHECKING:
    from simulations.world.network.machine import Machine
    from simulations.world.network.network import SimNetwork

_CLOSE_TIMEOUT_S = 1.0
OnStream = Callable[[Stream], Awaitable[None]]


class SimStream:
    """One end of a stream (``net.ports.Stream``)."""

    def __init__(
        self,
        owner: SimStreamTransport,
        remote: Address,
        remote_key: PublicKey | None,
        incoming: Pipe,
        outgoing: Pipe,
    ) -> None:
        self._owner = owner
        self._remote, self._remote_key = remote, remote_key
        self._incoming, self._outgoing = incoming, outgoing
        self._peer: SimStream | None = None
        self._over = False
        incoming.on_end = self._fail

    def join(self, peer: SimStream) -> None:
        self._peer, peer._peer = peer, self

    @property
    def remote(self) -> Address:
        return self._remote

    @property
    def remote_key(self) -> PublicKey | None:
        return self._remote_key

    async def read_exactly(self, count: int) -> bytes:
        data = bytearray(count)
        await self.read_into(memoryview(data))
        return bytes(data)

    async def read_into(self, target: memoryview) -> None:
        try:
            await self._incoming.read_into(target.cast("B"))
        except asyncio.CancelledError:
            self.abort()  # part of a frame is gone: nothing after it can be understood
            raise

    async def write(self, *parts: bytes | bytearray | memoryview) -> None:
        data = b"".join(parts)
        if data:
            self._outgoing.push(data)
        await self._outgoing.drain()

    async def close(self) -> None:
        if self._over:
            return
        self._over = True
        self._incoming.fail_reader("the stream is closed")
        try:
            self._outgoing.end()
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._outgoing.arrived()
        except ConnectionLost:
            pass  # the peer was gone already: nothing is left to flush
        except TimeoutError:
            self._owner.reset_later(self._peer)
        finally:
            self._leave("the stream is closed")

    def abort(self) -> None:
        if not self._over:
            self._over = True
            self._owner.reset_later(self._peer)
            self._leave("the stream was aborted")

    def reset(self) -> None:
        """The other end aborted, and word of it has arrived."""
        self._fail("the peer reset the stream")

    def vanish(self) -> None:
        """This machine lost power: the peer hears nothing until it asks a machine that is back."""
        self._over = True
        self._leave("this machine crashed")
        self._incoming.on_orphan = self._reset_if_back

    def _reset_if_back(self) -> None:
        if self._owner.is_back():
            self._owner.reset_later(self._peer)

    def _leave(self, why: str) -> None:
        self._fail(why)
        self._incoming.drop_unread()
        self._owner.forget(self)

    def _fail(self, why: str) -> None:
        self._incoming.fail_reader(why)
        self._outgoing.fail_writer(why)


class SimStreamTransport:
    """Dials and accepts simulated streams (``net.ports.StreamTransport``)."""

    def __init__(self, network: SimNetwork, address: Address, public_key: PublicKey) -> None:
        self._network = network
        self._machine = network.machine(address)
        self._machine.transports[self] = None
        self._key = public_key
        self._on_stream: OnStream | None = None
        self._streams: dict[SimStream, None] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._handshakes = 0
        self._alive = True

    # --- accepting --------------------------------------------------------------------------

    async def listen(self, port: int, on_stream: OnStream) -> None:
        address = Address(self._machine.address.host, port)
        if not port:
            address = Address(address.host, self._network.free_port(address.host))
        machine = self._network.machine(address)
        if machine.listener is not None:
            raise AddressInUse(f"{address} is in use")
        self._move(machine)
        machine.listener, self._on_stream = self, on_stream

    def _move(self, machine: Machine) -> None:
        self._machine.transports.pop(self, None)
        self._machine = machine
        machine.transports[self] = None

    @property
    def local(self) -> Address:
        """Where it listens, once it does."""
        return self._machine.address

    def _begin_handshake(self) -> bool:
        full = self._handshakes >= INBOUND_HANDSHAKES_MAX or len(self._tasks) >= CONNECTIONS_MAX
        if self._on_stream is None or full:
            return False
        self._handshakes += 1
        return True

    def _accept(self, stream: SimStream) -> None:
        self._handshakes -= 1
        if self._on_stream is None:
            stream.abort()
            return
        self._streams[stream] = None
        task = self._network.loop.create_task(
            self._serve(self._on_stream, stream), name=f"{self.local} serves {stream.remote}"
        )
        self._tasks[task] = None
        task.add_done_callback(self._served)

    @staticmethod
    async def _serve(on_stream: OnStream, stream: SimStream) -> None:
        try:
            await on_stream(stream)
        finally:
            stream.abort()

    def _served(self, task: asyncio.Task[None]) -> None:
        """A stream that ends in an error of a peer is over; anything else is a bug to be seen."""
        del self._tasks[task]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, DhtstoreError):
            self._network.loop.call_exception_handler(
                {"message": f"{task.get_name()} failed", "exception": error}
            )

    # --- dialling ---------------------------------------------------------------------------

    async def dial(
        self, to: Address, expected_key: PublicKey | None, timeout_s: float
    ) -> SimStream:
        if not self._alive:
            raise ConnectionLost("this node's streams are closed")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._connect(to, expected_key)
        except TimeoutError as error:
            raise ConnectionLost(f"{to} did not answer within {timeout_s:g} s") from error

    async def _connect(self, to: Address, expected_key: PublicKey | None) -> SimStream:
        if not routable(to):
            raise ConnectionLost(f"{to} cannot be dialled")
        target = self._network.machine(to)
        self._network.note("dial", self._machine, target)
        await self._travel(self._machine, target)
        if not target.diallable:
            await self._network.loop.create_future()  # a NAT drops it: until the dial's deadline
        listener = target.listener
        if listener is None:
            await self._refused(target)
            raise ConnectionLost(f"nothing listens at {to}")
        if not listener._begin_handshake():
            await self._refused(target)
            raise ConnectionLost(f"{to} refused the connection")
        try:
            await self._handshake(listener, target)
            if expected_key is not None and listener._key != expected_key:
                raise RefusedByNetwork(f"{to} proved another key than the one expected")
            stream, far_end = self._pair(listener, to)
        except BaseException:
            listener._handshakes -= 1
            raise
        self._network.loop.post(
            self._network.delay_s(self._machine, target), listener._accept, far_end
        )
        return stream

    async def _handshake(self, listener: SimStreamTransport, target: Machine) -> None:
        """The rest of two round trips: SYN-ACK, ClientHello, ServerHello with the key."""
        await self._travel(target, self._machine)
        await self._travel(self._machine, target)
        await self._travel(target, self._machine)
        if not listener._alive:
            raise ConnectionLost(f"{target.address} went away during the handshake")

    async def _refused(self, target: Machine) -> None:
        """A machine that runs answers with a reset; one that does not is silent."""
        if target.listener is None and not self._network.is_open(target.address):
            await self._network.loop.create_future()
        await self._travel(target, self._machine)

    async def _travel(self, a: Machine, b: Machine) -> None:
        if not self._network.reachable(a, b):
            await self._network.loop.create_future()  # until the dial's deadline
        await asyncio.sleep(self._network.delay_s(a, b))

    def _pair(self, listener: SimStreamTransport, to: Address) -> tuple[SimStream, SimStream]:
        if not self._alive:
            raise ConnectionLost("this node's streams are closed")
        network, source, target = self._network, self._machine, listener._machine
        there, back = Pipe(network, source, target), Pipe(network, target, source)
        own_port = network.free_port(source.address.host)
        near = SimStream(self, to, listener._key, incoming=back, outgoing=there)
        far_address = Address(source.address.host, own_port)
        far = SimStream(listener, far_address, None, incoming=there, outgoing=back)
        near.join(far)
        self._streams[near] = None
        return near, far

    # --- ending -----------------------------------------------------------------------------

    def reset_later(self, peer: SimStream | None) -> None:
        """Tell the other end of an aborted stream, one latency from now."""
        if peer is not None:
            target = peer._owner._machine
            self._network.note("reset", self._machine, target)
            if self._network.reachable(self._machine, target):
                delay_s = self._network.delay_s(self._machine, target)
                self._network.loop.post(delay_s, peer.reset)

    def forget(self, stream: SimStream) -> None:
        self._streams.pop(stream, None)

    def is_back(self) -> bool:
        """Whether the machine runs again after this transport went down with it."""
        return self._machine.listener is not None

    def crash(self, *, silent: bool) -> None:
        """What a crash of the machine does to its streams."""
        self._alive, self._on_stream = False, None
        for stream in list(self._streams):
            if silent:
                stream.vanish()
            else:
                stream.abort()
        for task in list(self._tasks):
            task.cancel()

    async def close(self) -> None:
        self._alive, self._on_stream = False, None
        if self._machine.listener is self:
            self._machine.listener = None
        self._machine.transports.pop(self, None)
        for stream in list(self._streams):
            stream.abort()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await all_ended(tasks)
