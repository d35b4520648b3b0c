"""What lies between machines: how far they are, what gets lost, who reaches whom."""

from __future__ import annotations

import random
from collections.abc import Callable

from dhtstore.model.contact import Address
from dhtstore.params import DATAGRAM_MAX_BYTES, MIB
from simulations.world.loop.virtual_loop import VirtualLoop
from simulations.world.network.bursts import Bursts
from simulations.world.network.congestion import CONGESTIONS, Congestion
from simulations.world.network.latency import FixedLatency, Latency
from simulations.world.network.machine import Machine
from simulations.world.network.reachability import Reachability
from simulations.world.trace import Trace
from simulations.world.watcher import Watcher

BUFFER_BYTES = 4 * MIB  # what a node asks its sockets for; the end of net.ipv4.tcp_wmem
_EPHEMERAL_PORT_FIRST = 49_152  # RFC 6335 section 6


class Ways:
    """``loss``, ``duplicate`` and ``reorder`` are probabilities per datagram, each by itself unless
    there are ``bursts``; ``jitter`` is the largest share of the pair's latency added to a message;
    datagrams above ``mtu_bytes`` vanish on the way.  Bandwidth, slowness and NAT are set on a
    ``machine``.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        rng: random.Random,
        latency: Latency | None = None,
        loss: float = 0.0,
        jitter: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        mtu_bytes: int = DATAGRAM_MAX_BYTES,
        trace: Trace | None = None,
    ) -> None:
        self.loop, self.rng = loop, rng
        self.latency: Latency = latency or FixedLatency(0.05)
        self.loss, self.jitter, self.mtu_bytes = loss, jitter, mtu_bytes
        self.duplicate, self.reorder = duplicate, reorder
        self.bursts: Bursts | None = None
        self.trace = trace or Trace()
        self.watcher: Watcher | None = None
        self.receive_buffer_bytes = self.send_buffer_bytes = BUFFER_BYTES  # of each stream's end
        self.congestion: Callable[[], Congestion] = CONGESTIONS["cubic"]
        self._machines: dict[Address, Machine] = {}
        self._next_port: dict[str, int] = {}
        self._reachability = Reachability()
        self.reachable = self._reachability.between
        self.reachable_by_stream = self._reachability.by_stream
        self.when_healed = self._reachability.when_changed

    def machine(self, address: Address) -> Machine:
        """The machine at that address, made when first asked for."""
        machine = self._machines.get(address)
        if machine is None:
            machine = self._machines[address] = Machine(
                address, self.latency.place(address), self.loop
            )
        return machine

    def delay_s(self, a: Machine, b: Machine) -> float:
        """One message's way from a to b."""
        delay_s = self.latency.one_way_s(a.place, b.place) * a.slowness * b.slowness
        if self.jitter:
            delay_s += delay_s * self.jitter * self.rng.random()
        return delay_s

    def round_trip_s(self, a: Machine, b: Machine) -> float:
        """There and back, without jitter."""
        return 2 * self.latency.one_way_s(a.place, b.place) * a.slowness * b.slowness

    def piece_bytes(self, a: Machine, b: Machine) -> int:
        """How much of a stream goes in one go."""
        return min(a.piece_up_bytes, b.piece_down_bytes)

    def losses(self, a: Machine, b: Machine, packets: int) -> int:
        """How many of so many packets from a to b get lost."""
        if not self.loss:
            return 0
        return sum(self.lose(a, b) for _ in range(packets))

    def lose(self, a: Machine, b: Machine) -> bool:
        """Whether the next packet from a to b gets lost."""
        if self.bursts is not None:
            return self.bursts.lose(a, b, self.loop.time())
        return self.rng.random() < self.loss

    def block(
        self, source: Address, target: Address, *, datagrams: bool = True, streams: bool = True
    ) -> None:
        """Nothing of these kinds gets from one machine to another from now on, as behind a router
        that lost a way; the other direction is its own.  A stream needs both."""
        self._note_way("block", source, target, datagrams=datagrams, streams=streams)
        a, b = self.machine(source), self.machine(target)
        self._reachability.block(a, b, datagrams=datagrams, streams=streams)

    def unblock(
        self, source: Address, target: Address, *, datagrams: bool = True, streams: bool = True
    ) -> None:
        """The way is open again; what stalled on streams goes on."""
        self._note_way("unblock", source, target, datagrams=datagrams, streams=streams)
        a, b = self.machine(source), self.machine(target)
        self._reachability.unblock(a, b, datagrams=datagrams, streams=streams)

    def _note_way(
        self, what: str, source: Address, target: Address, *, datagrams: bool, streams: bool
    ) -> None:
        kinds = "datagrams " * datagrams + "streams" * streams
        self.trace.state(self.loop.time(), what, f"{source} {target} {kinds}")

    def note(self, kind: str, source: Machine, target: Machine) -> None:
        """Write a step of a stream's life into the trace."""
        self.trace.message(self.loop.time(), kind, source.address, target.address, b"")

    def free_port(self, host: str) -> int:
        """An unused port, never handed out before on this host."""
        port = self._next_port.get(host, _EPHEMERAL_PORT_FIRST)
        self._next_port[host] = port + 1
        return port
