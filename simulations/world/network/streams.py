"""Simulated streams: dialled and accepted.

A dial costs two round trips (TCP and TLS 1.3).  A stream is two pipes, one per direction.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
from collections.abc import Awaitable, Callable

from dhtstore.errors import (
    AddressInUse,
    ConnectionLost,
    DhtstoreError,
    DialRefused,
    DialTimedOut,
    RefusedByNetwork,
)
from dhtstore.model.contact import Address, routable
from dhtstore.model.identity import PublicKey
from dhtstore.net.ports import Stream
from dhtstore.params import INBOUND_HANDSHAKES_MAX, STREAMS_ACCEPTED_MAX
from dhtstore.tasks import Supervisor, tell_the_loop
from simulations.world.network.machine import Machine
from simulations.world.network.network import SimNetwork
from simulations.world.network.pipe import Pipe
from simulations.world.network.sender import RTO_MIN_S
from simulations.world.network.stream import SimStream

SYN_TIME_OUT_S = 1.0  # RFC 6298 section 2: before a round trip is known
OnStream = Callable[[Stream], Awaitable[None]]


class SimStreams:
    """The streams of a network: who listens where."""

    def __init__(self, network: SimNetwork) -> None:
        self._network = network
        self._listeners: dict[Address, SimStreamTransport] = {}

    def transport(self, address: Address, public_key: PublicKey) -> SimStreamTransport:
        """Streams to and from ``address``, proving ``public_key``."""
        return SimStreamTransport(self._network, self._listeners, address, public_key)


class SimStreamTransport:
    """Dials and accepts simulated streams (``net.ports.StreamTransport``)."""

    def __init__(
        self,
        network: SimNetwork,
        listeners: dict[Address, SimStreamTransport],
        address: Address,
        public_key: PublicKey,
    ) -> None:
        self._network, self._listeners = network, listeners
        self.machine = network.machine(address)
        self.machine.tenants[self] = None
        self._key = public_key
        self._on_stream: OnStream | None = None
        self._context = contextvars.Context()
        self._streams: dict[SimStream, None] = {}
        self._serving = Supervisor(on_failure=tell_the_loop)  # a task for each accepted stream
        self._handshakes = 0
        self._alive = True

    # --- accepting --------------------------------------------------------------------------

    async def listen(self, port: int, on_stream: OnStream, duties: Supervisor) -> None:
        """Without a loop that could end: the network hands over each stream."""
        address = Address(self.machine.address.host, port)
        if not port:
            address = Address(address.host, self._network.free_port(address.host))
        machine = self._network.machine(address)
        if address in self._listeners:
            raise AddressInUse(f"{address} is in use")
        self._move(machine)
        self._listeners[address], self._on_stream = self, on_stream
        self._context = contextvars.copy_context()  # that of the node: its tasks serve

    def _move(self, machine: Machine) -> None:
        self.machine.tenants.pop(self, None)
        self.machine = machine
        machine.tenants[self] = None

    @property
    def local(self) -> Address:
        """Where it listens, once it does."""
        return self.machine.address

    def _begin_handshake(self) -> bool:
        served = len(self._serving)
        full = self._handshakes >= INBOUND_HANDSHAKES_MAX or served >= STREAMS_ACCEPTED_MAX
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
        name = f"{self.local} serves {stream.remote}"
        self._context.run(self._serving.spawn, _serve(self._on_stream, stream), name)

    # --- dialling ---------------------------------------------------------------------------

    async def dial(
        self, to: Address, expected_key: PublicKey | None, timeout_s: float
    ) -> SimStream:
        if not self._alive:
            raise ConnectionLost("this node's streams are closed")
        begun_s, source, why = self._network.loop.time(), self.machine.address, "cancelled"
        try:
            async with asyncio.timeout(timeout_s):
                stream = await self._connect(to, expected_key)
            why = ""
        except TimeoutError as error:
            why = f"no answer within {timeout_s:g} s"
            raise DialTimedOut(f"{to} did not answer within {timeout_s:g} s") from error
        except DhtstoreError as error:
            why = str(error)
            raise
        finally:
            if self._network.watcher is not None:
                now_s = self._network.loop.time()
                self._network.watcher.dialled(begun_s, now_s, source, to, why)
        return stream

    async def _connect(self, to: Address, expected_key: PublicKey | None) -> SimStream:
        if not routable(to):
            raise DialRefused(f"{to} cannot be dialled")
        target = self._network.machine(to)
        self._network.note("dial", self.machine, target)
        await self._travel(self.machine, target, SYN_TIME_OUT_S)
        if not target.diallable:
            await self._network.loop.create_future()  # a NAT drops it: until the dial's deadline
        listener = self._listeners.get(target.address)
        if listener is None:
            await self._refused(target)
            raise DialRefused(f"nothing listens at {to}")
        if not listener._begin_handshake():
            await self._refused(target)
            raise DialRefused(f"{to} refused the connection")
        try:
            await self._handshake(listener, target)
            if expected_key is not None and listener._key != expected_key:
                raise RefusedByNetwork(f"{to} proved another key than the one expected")
            stream, far_end = self._pair(listener, to)
        except BaseException:
            listener._handshakes -= 1
            raise
        self._network.loop.post(
            self._network.delay_s(self.machine, target), listener._accept, far_end
        )
        return stream

    async def _handshake(self, listener: SimStreamTransport, target: Machine) -> None:
        """The rest of two round trips: SYN-ACK, ClientHello, ServerHello with the key."""
        await self._travel(target, self.machine, SYN_TIME_OUT_S)
        await self._travel(self.machine, target)
        await self._travel(target, self.machine)
        if not listener._alive:
            raise ConnectionLost(f"{target.address} went away during the handshake")

    async def _refused(self, target: Machine) -> None:
        """A machine that runs answers with a reset; one that does not is silent."""
        if target.address not in self._listeners and not self._network.is_open(target.address):
            await self._network.loop.create_future()
        await self._travel(target, self.machine)

    async def _travel(self, a: Machine, b: Machine, time_out_s: float = RTO_MIN_S) -> None:
        """One flight of the handshake; a lost one is sent again, after twice as long each time
        (RFC 6298), until the dial's deadline."""
        network = self._network
        if not network.reachable_by_stream(a, b):
            await network.loop.create_future()  # until the dial's deadline
        time_out_s = max(time_out_s, 2 * network.round_trip_s(a, b))
        while network.losses(a, b, 1):
            await asyncio.sleep(time_out_s)
            time_out_s *= 2
        await asyncio.sleep(network.delay_s(a, b))

    def _pair(self, listener: SimStreamTransport, to: Address) -> tuple[SimStream, SimStream]:
        if not self._alive:
            raise ConnectionLost("this node's streams are closed")
        network, source, target = self._network, self.machine, listener.machine
        there, back = Pipe(network, source, target), Pipe(network, target, source)
        if network.watcher is not None:
            now_s = network.loop.time()
            network.watcher.opened(now_s, there, back, source.address, target.address)
        own_port = network.free_port(source.address.host)
        far_address, shown = Address(source.address.host, own_port), certificate_hash(listener._key)
        near = SimStream(network, self, to, listener._key, shown, incoming=back, outgoing=there)
        far = SimStream(network, listener, far_address, None, shown, incoming=there, outgoing=back)
        near.join(far)
        self._streams[near] = None
        return near, far

    # --- ending -----------------------------------------------------------------------------

    def forget(self, stream: SimStream) -> None:
        self._streams.pop(stream, None)

    def is_back(self) -> bool:
        """Whether the machine runs again after this transport went down with it."""
        return self.machine.address in self._listeners

    def crash(self, *, silent: bool) -> None:
        """What a crash of the machine does to its streams."""
        self._stop_listening()
        for stream in list(self._streams):
            if silent:
                stream.vanish()
            else:
                stream.abort()
        self._serving.cancel()

    async def close(self) -> None:
        self._stop_listening()
        self.machine.tenants.pop(self, None)
        for stream in list(self._streams):
            stream.abort()
        await self._serving.close()

    def _stop_listening(self) -> None:
        self._alive, self._on_stream = False, None
        if self._listeners.get(self.machine.address) is self:
            del self._listeners[self.machine.address]


def certificate_hash(key: PublicKey) -> bytes:
    """The hash of what an acceptor of that key would show."""
    return hashlib.sha256(b"certificate of " + key).digest()


async def _serve(on_stream: OnStream, stream: SimStream) -> None:
    try:
        await on_stream(stream)
    except DhtstoreError:
        return  # of the peer: it costs only its stream
    finally:
        stream.abort()
