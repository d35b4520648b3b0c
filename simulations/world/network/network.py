"""The simulated network: machines with addresses, and the datagrams between them.

Nothing is delivered inline: every datagram arrives through the virtual loop after the pair's
latency, and so does every chunk and handshake step of the streams (``streams``) on top of it.  A
pair's latency never changes during a run; jitter, loss and bandwidth come on top.  Everything that
is sent goes into the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from dhtstore.errors import AddressInUse
from dhtstore.model.contact import Address, routable
from dhtstore.params import DATAGRAM_MAX_BYTES
from simulations.world.network.endpoint import SimEndpoint
from simulations.world.network.line import Line
from simulations.world.network.machine import Machine
from simulations.world.network.ways import Ways

_REORDER_DELAYS_MAX = 2.0  # a datagram out of order is late by up to that many latencies
_TRAVELS = {"datagram": 1, "duplicated": 2}
Drops = Callable[[Address, Address, bytes], bool]


class SimNetwork(Ways):
    """Everything between the machines, and the datagrams that pass there; ``kind_of`` names them,
    ``drops`` picks some that vanish."""

    def __init__(self, *args: Any, **conditions: Any) -> None:
        super().__init__(*args, **conditions)
        self.drops: Drops | None = None
        self.kind_of: Callable[[bytes], str] | None = None
        self.sent_by_kind: dict[str, int] = {}
        self.sent_datagrams = 0
        self._open: dict[Address, SimEndpoint] = {}

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

    def partition(self, sides: Sequence[Iterable[Address]]) -> None:
        """Let only machines of the same side reach each other; those in none form one more."""
        self._forget_sides()
        self._reachability.partition([[self.machine(one) for one in side] for side in sides])
        self.trace.state(self.loop.time(), "partition", str(len(sides)))

    def heal(self) -> None:
        """End the partition; streams that stalled go on."""
        self._forget_sides()
        self.trace.state(self.loop.time(), "heal", "")
        self._reachability.heal()

    def _forget_sides(self) -> None:
        for machine in self._machines.values():
            machine.side = 0

    def sleep(self, address: Address, *, asleep: bool) -> None:
        """The machine there falls asleep, and neither sends nor hears; or wakes, with what was
        sent on its streams meanwhile."""
        self.trace.state(self.loop.time(), "asleep" if asleep else "awake", str(address))
        self._reachability.sleep(self.machine(address), asleep=asleep)

    # --- for endpoints and streams ----------------------------------------------------------

    def is_open(self, address: Address) -> bool:
        """Whether a datagram socket is bound there: a sign that the machine runs."""
        return address in self._open

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
        self._count(source, data)
        source.note_sent(to, now)
        fate = self._fate(source, target, data)
        self.trace.message(now, fate, source.address, to, data)
        if self.watcher is not None:
            self.watcher.datagram(now, fate, source.address, to, data)
        if source.up is not None:
            return self._queue(source.up, source, target, to, data, fate)
        if target is not None and fate in _TRAVELS:
            for _ in range(_TRAVELS[fate]):
                self._post(source, target, data)
        return True

    def _count(self, source: Machine, data: bytes) -> None:
        self.sent_datagrams += 1
        source.sent_datagrams += 1
        source.sent_bytes += len(data)
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
        if self.loss and self.lose(source, target):
            return "lost"
        if self.duplicate and self.rng.random() < self.duplicate:
            return "duplicated"
        return "datagram"

    def _queue(
        self,
        line: Line,
        source: Machine,
        target: Machine | None,
        to: Address,
        data: bytes,
        fate: str,
    ) -> bool:
        """Through the sender's line, which also carries what is lost behind it; False if its queue
        is full and this is what it drops."""
        dropped = False

        def drop() -> None:
            nonlocal dropped
            dropped = True
            self._overflow(source, to, data)

        def carried() -> None:
            if target is not None:
                for _ in range(_TRAVELS.get(fate, 0)):
                    self._post(source, target, data)

        if target is not None and fate == "datagram":  # one timer for its queue and its way
            after_s = self._way_s(source, target)
            line.carry(to, len(data), after_s, partial(self._reach, source, target, data), drop)
        else:
            line.carry(to, len(data), 0.0, carried, drop)
        return not dropped

    def _post(self, source: Machine, target: Machine, data: bytes) -> None:
        self.loop.post(self._way_s(source, target), self._reach, source, target, data)

    def _way_s(self, source: Machine, target: Machine) -> float:
        delay_s = self.delay_s(source, target)
        if self.reorder and self.rng.random() < self.reorder:
            delay_s += _REORDER_DELAYS_MAX * self.rng.random() * self.delay_s(source, target)
        return delay_s

    def _reach(self, source: Machine, target: Machine, data: bytes) -> None:
        """The last hop: the line of the target."""
        if target.down is None:
            self._deliver(source, target, data)
            return
        deliver = partial(self._deliver, source, target, data)
        lost = partial(self._overflow, source, target.address, data)
        target.down.carry(source, len(data), 0.0, deliver, lost)

    def _overflow(self, source: Machine, to: Address, data: bytes) -> None:
        """A line's buffer is full."""
        self.trace.message(self.loop.time(), "queue full", source.address, to, data)
        self._perish("queue full", source, to, data)

    def _deliver(self, source: Machine, target: Machine, data: bytes) -> None:
        endpoint = self._open.get(target.address)
        if endpoint is None or not self.reachable(source, target):
            self._perish(
                "nobody there" if endpoint is None else "unreachable", source, target.address, data
            )
        elif target.diallable or target.hears(source.address, self.loop.time()):
            target.received_bytes += len(data)
            if self.watcher is not None:
                self.watcher.arrived(self.loop.time(), source.address, target.address, data)
            endpoint.on_datagram(data, source.address)
        else:
            self._perish("behind a NAT", source, target.address, data)

    def _perish(self, why: str, source: Machine, to: Address, data: bytes) -> None:
        if self.watcher is not None:
            self.watcher.perished(self.loop.time(), why, source.address, to, data)
