"""One end of a simulated stream: two pipes, one in each direction, and how they end.

An orderly close arrives behind the data; an abort overtakes what still waits to be sent.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from simulations.world.network.machine import Machine
from simulations.world.network.network import SimNetwork
from simulations.world.network.pipe import Pipe

_CLOSE_TIMEOUT_S = 1.0


class StreamOwner(Protocol):
    """The transport that a stream belongs to."""

    @property
    def machine(self) -> Machine:
        """Where it runs."""

    def forget(self, stream: SimStream) -> None:
        """That stream is over."""

    def is_back(self) -> bool:
        """Whether the machine runs again after this transport went down with it."""


class SimStream:
    """One end of a stream (``net.ports.Stream``)."""

    def __init__(
        self,
        network: SimNetwork,
        owner: StreamOwner,
        remote: Address,
        remote_key: PublicKey | None,
        binding: bytes,
        incoming: Pipe,
        outgoing: Pipe,
    ) -> None:
        self._network, self._owner = network, owner
        self._remote, self._remote_key, self._binding = remote, remote_key, binding
        self._incoming, self._outgoing = incoming, outgoing
        self._peer: SimStream | None = None
        self._over = False
        incoming.on_end = outgoing.on_time_out = self._fail

    def join(self, peer: SimStream) -> None:
        self._peer, peer._peer = peer, self

    @property
    def remote(self) -> Address:
        return self._remote

    @property
    def remote_key(self) -> PublicKey | None:
        return self._remote_key

    @property
    def binding(self) -> bytes:
        return self._binding

    @property
    def received_bytes(self) -> int:
        return self._incoming.received_bytes

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
            self._reset_peer()
        finally:
            self._leave("the stream is closed")

    def abort(self) -> None:
        if not self._over:
            self._over = True
            self._reset_peer()
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
            self._reset_peer()

    def _reset_peer(self) -> None:
        """Tell the other end that this one was aborted, one latency from now."""
        if self._peer is None:
            return
        network, source, target = self._network, self._owner.machine, self._peer._owner.machine
        network.note("reset", source, target)
        if network.reachable_by_stream(source, target):
            network.loop.post(network.delay_s(source, target), self._peer.reset)

    def _leave(self, why: str) -> None:
        self._fail(why)
        self._incoming.drop_unread()
        self._owner.forget(self)

    def _fail(self, why: str) -> None:
        self._incoming.fail_reader(why)
        self._outgoing.fail_writer(why)
