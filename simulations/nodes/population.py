"""Nodes that start, leave, crash and come back on machines that keep their keys and disks.

Each start is a new ``life`` with its own number, which tasks inherit (``whose.CURRENT_NODE``), so
that a crash ends exactly what belongs to that life.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from dhtstore.errors import DhtstoreError
from dhtstore.model.contact import Address
from dhtstore.model.identity import NodeId
from dhtstore.node.node import Node
from dhtstore.node.ports import NodeSettings, Ports
from dhtstore.tasks import run_all
from dhtstore.wire.ticket import Ticket
from simulations.nodes.power import Power
from simulations.nodes.reaper import Reaper
from simulations.seeds import derived_seed
from simulations.world.loop.current_node import CURRENT_NODE
from simulations.world.loop.schedule import VirtualHandle
from simulations.world.loop.virtual_loop import VirtualLoop
from simulations.world.network.network import SimNetwork
from simulations.world.network.streams import SimStreams
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from simulations.world.ports.contents import Contents
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.disks import CrashedMeanwhile, SimDisk
from simulations.world.ports.entropy import SimEntropy
from simulations.world.ports.interfaces import SimInterfaces

T = TypeVar("T")
PORT = 7400


@dataclass(slots=True)
class Nap:
    """A sleep that lasts: since when, of which life, whether users could use that, how far its
    clock was off, and its timers with how long each has left."""

    since_s: float
    life: int
    ready: bool
    skew_s: float
    held: list[tuple[float, VirtualHandle]] = field(default_factory=list)


@dataclass(slots=True)
class Member:
    """One machine and what runs on it: ``node`` is None while it is down; ``ready`` once users
    can use it, that is when it has joined; ``gone`` if it never comes back; ``slept_s`` is how long
    it slept before its present ``nap``; ``changed_s`` when it joined, woke or went last;
    ``disguise`` what the ports of an adversary are made of.

    ``group``, ``region`` and ``domain`` (what fails together) are the scenario's words for what it
    is one of; "" for none."""

    number: int
    address: Address
    crypto: SimCrypto
    clock: SimClock
    disk: SimDisk
    settings: NodeSettings
    blocking: InlineBlocking
    node: Node | None = None
    life: int = -1
    ready: bool = False
    starting: bool = False
    stopping: asyncio.Task[None] | None = None
    gone: bool = False
    slept_s: float = 0.0
    nap: Nap | None = None
    changed_s: float = 0.0
    group: str = ""
    region: str = ""
    domain: str = ""
    disguise: Callable[[Ports], Ports] | None = None

    def asleep_s(self, now_s: float) -> float:
        """How long it has slept in all, the present sleep included."""
        return self.slept_s + (now_s - self.nap.since_s if self.nap is not None else 0.0)

    def end_nap(self, now_s: float) -> Nap | None:
        """It sleeps no more; the sleep that it had."""
        nap, self.slept_s, self.nap = self.nap, self.asleep_s(now_s), None
        return nap

    @property
    def running(self) -> Node:
        """The node of a machine that is up."""
        assert self.node is not None, "it is up"
        return self.node

    @property
    def ticket(self) -> str:
        key = self.crypto.node.public_key
        return str(Ticket(self.settings.network.name, key, (self.address,)))


class Population:
    """Machines with addresses 10.0.0.1 and up, one for each of ``settings``; all down at first;
    ``numbers_up`` are of those whose node runs.

    ``skew_s`` bounds how far wall clocks are off; ``disk`` makes that of a machine, from its number
    and its capacity in bytes; None for memory.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        network: SimNetwork,
        seed: int,
        settings: Sequence[NodeSettings],
        skew_s: float = 0.0,
        disk: Callable[[int, int], SimDisk] | None = None,
    ) -> None:
        self.loop, self.network, self.seed = loop, network, seed
        self._streams = SimStreams(network)
        self._rng = random.Random(derived_seed(seed, "population"))
        self._skew_s, self.contents = skew_s, Contents()
        self._disk = disk or partial(_in_memory, self.contents)
        self.members: list[Member] = []
        self.numbers_up: set[int] = set()
        for chosen in settings:
            self.add(chosen)
        self.lives = 0
        self.power = Power()
        self.made_up: dict[NodeId, float] = {}  # ids that adversaries answer for: until when
        self._reaper = Reaper(loop)
        self.zombies = self._reaper.zombies

    def add(self, settings: NodeSettings, node_secret: bytes = b"") -> Member:
        """One more machine, with keys of its own or that ``node_secret``."""
        number = len(self.members)
        address = _address_of(number)
        secrets = [
            derived_seed(self.seed, f"{whose}/{number}").to_bytes(32, "big")
            for whose in ("node", "owner")
        ]
        member = Member(
            number,
            address,
            SimCrypto(node_secret or secrets[0], secrets[1]),
            SimClock(self.loop, self._rng.uniform(-self._skew_s, self._skew_s)),
            self._disk(number, settings.capacity_bytes),
            replace(settings, advertise=(address,)),
            InlineBlocking(),
        )
        self.members.append(member)
        return member

    # --- who is up --------------------------------------------------------------------------

    def up(self) -> list[Member]:
        return [member for member in self.members if member.node is not None]

    def seeds(self, newcomer: int, count: int = 3) -> list[str]:
        """Tickets of some members that have joined, chosen at random."""
        known = [m for m in self.members if m.ready and m.number != newcomer]
        return [member.ticket for member in self._rng.sample(known, min(count, len(known)))]

    # --- life and death ---------------------------------------------------------------------

    async def start(self, number: int, *, with_data: bool = True) -> Node:
        """Start a machine's node without joining, once it has stopped; see ``can_start``."""
        assert self.can_start(number), "a machine runs one node"
        member = self.members[number]
        member.starting = True
        try:
            if member.stopping is not None:
                await asyncio.wait([member.stopping])
            if not with_data:
                member.disk.wipe()
            ports = self.ports(member)
            self.network.trace.state(self.loop.time(), "start", f"{number} life {member.life}")
            member.node = node = await self.run(number, _started(ports, member.settings))
            self.numbers_up.add(number)
        finally:
            member.starting = False
        if member.gone:  # it died while it started
            self.crash(number)
            raise CrashedMeanwhile(f"node {number} is gone for good")
        if not self.power.has(member.domain):  # it went while the node started
            self.crash(number)
            self.power.wait(number)
            raise CrashedMeanwhile(f"node {number} lost its power while it started")
        return node

    def can_start(self, number: int) -> bool:
        """Whether the machine is there and has power, nothing runs on it and nobody else is
        starting it."""
        member = self.members[number]
        there = not member.gone and self.power.has(member.domain)
        return there and member.node is None and not member.starting

    def ports(self, member: Member) -> Ports:
        """What a new life of that machine begins with."""
        member.life, self.lives = self.lives, self.lives + 1
        blocks, tables = member.disk.plug()
        ports = Ports(
            clock=member.clock,
            entropy=SimEntropy(self.seed, f"life/{member.life}"),
            crypto=member.crypto,
            endpoint=self.network.endpoint(member.address),
            interfaces=SimInterfaces(member.address.host),
            streams=self._streams.transport(member.address, member.crypto.node.public_key),
            blocking=member.disk.blocking(member.blocking),
            store=blocks,
            ledger=tables,
            tracer=NodeTracer(self, member.number),
        )
        return ports if member.disguise is None else member.disguise(ports)

    async def join(self, number: int, seeds: Iterable[str] | None = None) -> bool:
        """Enter the network through ``seeds`` (random members by default); False if it failed
        for a reason that a user would see."""
        node = self.members[number].node
        assert node is not None, "only a node that runs can join"
        chosen = self.seeds(number) if seeds is None else list(seeds)
        try:
            await self.run(number, node.join(chosen))
        except DhtstoreError as error:
            self.network.trace.state(self.loop.time(), "join failed", f"{number} {error}")
            return False
        self.members[number].ready = self.members[number].node is node
        self.members[number].changed_s = self.loop.time()
        return True

    async def leave(self, number: int) -> None:
        """Stop in good order; a machine that sleeps cannot, and loses power."""
        self.power.forget(number)
        member = self.members[number]
        if member.nap is not None:
            self.crash(number)
        node, member.node, member.ready = member.node, None, False
        self.numbers_up.discard(number)
        if node is not None:
            life, member.changed_s = member.life, self.loop.time()
            member.clock.unwatch()
            self.network.trace.state(self.loop.time(), "leave", str(number))
            member.stopping = self.spawn(number, node.stop(), "stop")
            await asyncio.wait([member.stopping])
            member.stopping.result()
            await self._reaper.bury(number, life, len(self.members))

    def crash(self, number: int, *, silent: bool = True) -> None:
        """Power off: the network hears nothing more, unsynced writes are lost, tasks end."""
        self.power.forget(number)
        member = self.members[number]
        if member.node is not None:
            member.node.dht.rpc.end_timers()
            member.node, member.ready = None, False
            self.numbers_up.discard(number)
            member.changed_s = self.loop.time()
            member.end_nap(member.changed_s)
            member.clock.unwatch()
            self.network.crash(member.address, silent=silent)
            member.disk.pull(power_lost=silent)
            self._reaper.kill(number, member.life, len(self.members))

    # --- running code as a node -------------------------------------------------------------

    def spawn(
        self, number: int, work: Coroutine[Any, Any, T], name: str = "work"
    ) -> asyncio.Task[T]:
        """Run ``work`` as code of that machine's present life: a crash cancels it."""
        context = contextvars.copy_context()
        context.run(CURRENT_NODE.set, self.members[number].life)
        return self.loop.create_task(work, name=f"{name} at {number}", context=context)

    async def run(self, number: int, work: Coroutine[Any, Any, T], name: str = "work") -> T:
        """As ``spawn``, and wait; a crash of the node raises CrashedMeanwhile here."""
        task = self.spawn(number, work, name)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.cancelled():
            raise CrashedMeanwhile(f"node {number} crashed meanwhile")
        return task.result()

    async def stop(self) -> None:
        """Stop everything that runs, all at once, for good."""
        self._reaper.collects = False
        leaving = [partial(self.leave, member.number) for member in self.up()]
        await run_all(leaving, limit=len(leaving))


class NodeTracer:
    """Writes a node's own events into the trace of the run."""

    def __init__(self, population: Population, number: int) -> None:
        self._trace, self._loop = population.network.trace, population.loop
        self._number = number

    def __call__(self, event: str, **fields: object) -> None:
        told = " ".join(f"{name}={value}" for name, value in fields.items())
        self._trace.state(self._loop.time(), event, f"{self._number} {told}")


def _address_of(number: int) -> Address:
    place = number + 1
    return Address(f"10.{place >> 16}.{place >> 8 & 255}.{place & 255}", PORT)


def _in_memory(contents: Contents, number: int, capacity_bytes: int) -> SimDisk:
    return SimDisk(capacity_bytes, contents.keep)


async def _started(ports: Ports, settings: NodeSettings) -> Node:
    node = Node(ports, settings)
    await node.start()
    return node
