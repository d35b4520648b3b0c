"""The simulated network: machines with addresses, and the datagrams between them.

Nothing is delivered inline: every datagram arrives through the virtual loop after the pair's
latency, and so does every chunk and handshake step of the streams (``streams``) on top of it.  A
pair's latency never changes during a run; jitter, loss and bandwidth come on top.  Everything that
is sent goes into the trace.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from dhtstore.errors import AddressInUse
from dhtstore.model.contact import Address, routable
from dhtstore.params import DATAGRAM_MAX_BYTES
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop
from simulations.world.network.latency import FixedLatency, Latency
from simulations.world.network.machine import Machine
from simulations.world.trace import Trace

_EPHEMERAL_PORT_FIRST = 49_152  # RFC 6335 section 6
_REORDER_DELAYS_MAX = 2.0  # a datagram out of order is late by up to that many latencies
_TRAVELS = {"datagram": 1, "duplicated": 2}
Drops = Callable[[Address, Address, bytes], bool]
OnDatagram = Callable[[bytes, Address], None]


class SimNetwork:
    """Everything between the machines.

    ``loss``, ``duplicate`` and ``reorder`` are probabilities per datagram; ``jitter`` is the
    largest share of the pair's latency added to a message; datagrams above ``mtu_bytes`` vanish
    on the way.  Bandwidth, slowness and NAT are set on a ``machine``.
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
        self.trace = trace or Trace()
        self.drops: Drops | None = None
        self.kind_of: Callable[[bytes], str] | None = None
        self.sent_by_kind: dict[str, int] = {}
        self.sent_datagrams = 0
        self._machines: dict[Address, Machine] = {}
        self._open: dict[Address, SimEndpoint] = {}
        self._next_port: dict[str, int] = {}
        self._partitioned = self._divided = False
        self._asleep = 0
        self._stalled: list[Callable[[], None]] = []

    # --- what a node is handed --------------------------------------------------------------

    def endpoint(self, address: Address) -> SimEndpoint:
        """A datagram socket for ``address``; port 0 picks a free one when it is opened."""
        return SimEndpoint(self, address)

    # --- faults -----------------------------------------------------------------------------

    def crash(self, address: Address, *, silent: bool = True) -> None:
        """Take what runs at ``address`` away: its endpoint and its streams.

        Silent is a machine that lost power: peers hear nothing.  Otherwise a killed process: its
        machine resets the peers' streams, one latency later.  The address can be used again.
        """
        machine = self.machine(address)
        self.trace.state(self.loop.time(), "crash", str(address))
        if machine.asleep:
            self.sleep(address, asleep=False)
        endpoint = self._open.pop(address, None)
        if endpoint is not None:
            endpoint.drop()
        machine.crash(silent=silent)

    def partition(self, groups: Sequence[Iterable[Address]]) -> None:
        """Let only machines of the same group reach each other; those in none form one more."""
        for machine in self._machines.values():
            machine.group = 0
        for number, group in enumerate(groups, start=1):
            for address in group:
                self.machine(address).group = number
        self._partitioned = self._divided = True
        self.trace.state(self.loop.time(), "partition", str(len(groups)))

    def heal(self) -> None:
        """End the partition; streams that stalled go on."""
        for machine in self._machines.values():
            machine.group = 0
        self._partitioned = False
        self.trace.state(self.loop.time(), "heal", "")
        self._reach_again()

    def sleep(self, address: Address, *, asleep: bool) -> None:
        """The machine there falls asleep, and neither sends nor hears; or wakes, with what was
        sent on its streams meanwhile."""
        machine = self.machine(address)
        self._asleep += asleep - machine.asleep
        machine.asleep = asleep
        self.trace.state(self.loop.time(), "asleep" if asleep else "awake", str(address))
        self._reach_again()

    def _reach_again(self) -> None:
        self._divided = self._partitioned or self._asleep > 0
        stalled, self._stalled = self._stalled, []
        for resume in stalled:
            resume()

    # --- for endpoints and streams ----------------------------------------------------------

    def machine(self, address: Address) -> Machine:
        """The machine at that address, made when first asked for."""
        machine = self._machines.get(address)
        if machine is None:
            machine = self._machines[address] = Machine(address, self.latency.place(address))
        return machine

    def reachable(self, a: Machine, b: Machine) -> bool:
        return not self._divided or (a.group == b.group and not (a.asleep or b.asleep))

    def when_healed(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` once, when a partition heals or a machine wakes."""
        self._stalled.append(resume)

    def delay_s(self, a: Machine, b: Machine) -> float:
        """One message's way from a to b."""
        delay_s = self.latency.one_way_s(a.place, b.place) * a.slowness * b.slowness
        if self.jitter:
            delay_s += delay_s * self.jitter * self.rng.random()
        return delay_s

    def is_open(self, address: Address) -> bool:
        """Whether a datagram socket is bound there: a sign that the machine runs."""
        return address in self._open

    def note(self, kind: str, source: Machine, target: Machine) -> None:
        """Write a step of a stream's life into the trace."""
        self.trace.message(self.loop.time(), kind, source.address, target.address, b"")

    def free_port(self, host: str) -> int:
        """An unused port, never handed out before on this host."""
        port = self._next_port.get(host, _EPHEMERAL_PORT_FIRST)
        self._next_port[host] = port + 1
        return port

    def bind(self, endpoint: SimEndpoint, address: Address) -> Address:
        bound = address if address.port else Address(address.host, self.free_port(address.host))
        if bound in self._open:
            raise AddressInUse(f"{bound} is in use")
        self._open[bound] = endpoint
        return bound

    def unbind(self, address: Address) -> None:
        del self._open[address]

    def send(self, source: Machine, data: bytes, to: Address) -> bool:
        now = self.loop.time()
        target = self._machines.get(to)
        ipv6 = target.ipv6 if target is not None else ":" in to.host
        if not 0 < len(data) <= DATAGRAM_MAX_BYTES or ipv6 is not source.ipv6:
            return False
        if target is None and not routable(to):  # a known machine's was checked when it was bound
            return False
        if source.up_bytes_per_s is not None and source.uplink_full(now):
            return False
        self._count(source, data)
        source.note_sent(to, now)
        wait_s = source.send_until_s(now, len(data)) - now
        fate = self._fate(source, target, data)
        self.trace.message(now, fate, source.address, to, data)
        if target is not None and fate in _TRAVELS:
            for _ in range(_TRAVELS[fate]):
                self._post(wait_s, source, target, data)
        return True

    def _count(self, source: Machine, data: bytes) -> None:
        self.sent_datagrams += 1
        source.sent_datagrams += 1
        if self.kind_of is not None:
            kind = self.kind_of(data)
            self.sent_by_kind[kind] = self.sent_by_kind.get(kind, 0) + 1

    def _fate(self, source: Machine, target: Machine | None, data: bytes) -> str:
        """What becomes of a datagram; in the order in which things can befall it."""
        if target is None or not self.reachable(source, target):
            return "unreachable"
        if len(data) > self.mtu_bytes:
            return "too large"
        if self.drops is not None and self.drops(source.address, target.address, data):
            return "dropped"
        if self.loss and self.rng.random() < self.loss:
            return "lost"
        if self.duplicate and self.rng.random() < self.duplicate:
            return "duplicated"
        return "datagram"

    def _post(self, wait_s: float, source: Machine, target: Machine, data: bytes) -> None:
        delay_s = wait_s + self.delay_s(source, target)
        if self.reorder and self.rng.random() < self.reorder:
            delay_s += _REORDER_DELAYS_MAX * self.rng.random() * self.delay_s(source, target)
        if target.down_bytes_per_s is not None:
            now = self.loop.time()
            if target.downlink_full(now + delay_s):
                return
            delay_s = target.receive_until_s(now + delay_s, len(data), source) - now
        self.loop.post(delay_s, self._deliver, source, target, data)

    def _deliver(self, source: Machine, target: Machine, data: bytes) -> None:
        endpoint = self._open.get(target.address)
        if endpoint is None or not self.reachable(source, target):
            return
        if target.diallable or target.hears(source.address, self.loop.time()):
            target.received_bytes += len(data)
            endpoint.on_datagram(data, source.address)


class SimEndpoint:
    """One datagram socket of the simulated network (``net.ports.Endpoint``)."""

    def __init__(self, network: SimNetwork, address: Address) -> None:
        self._network = network
        self._address = address
        self._machine: Machine | None = None
        self.on_datagram: OnDatagram = _ignore

    @property
    def local(self) -> Address:
        return self._address

    async def open(self, on_datagram: OnDatagram, duties: Supervisor) -> None:
        """Without a loop that could end: an error of the callback ends the simulation."""
        self._address = self._network.bind(self, self._address)
        self._machine = self._network.machine(self._address)
        self.on_datagram = on_datagram

    def send(self, data: bytes, to: Address) -> bool:
        return self._machine is not None and self._network.send(self._machine, data, to)

    def drop(self) -> None:
        """Stop at once, as a crash does."""
        self._machine = None
        self.on_datagram = _ignore

    async def close(self) -> None:
        if self._machine is not None:
            self._network.unbind(self._address)
        self.drop()


def _ignore(data: bytes, source: Address) -> None:
    """What a closed socket does with a datagram."""
