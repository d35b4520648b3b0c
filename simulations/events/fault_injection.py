"""Carrying out faults on a population."""

from __future__ import annotations

import asyncio
import contextlib
import random
from functools import partial

from dhtstore.model.cid import Cid
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.tasks import run_all
from simulations.datagram_kinds import ANSWER
from simulations.events.await_counter import AwaitCounter
from simulations.events.damage import DamageRecord
from simulations.events.datagram_dropper import DatagramDropper
from simulations.events.fault_schedule import DROPPED, Fault, FaultKind, halves
from simulations.nodes.datagram_kind import kind_of
from simulations.nodes.entering import enter
from simulations.nodes.population import Member, Population
from simulations.nodes.sleep import sleep
from simulations.seeds import derived_seed
from simulations.world.network.network import SimNetwork
from simulations.world.ports.disks import CrashedMeanwhile

_MS = 0.001
_ANNOUNCED_BY = ("find_node", "add_provider", "add_providers", ANSWER)
_AWAITED_WITHIN_S = 60.0
_CHANGES_MAX = 40  # of files: a block that is received, with its claim, makes about thirty


class FaultInjector:
    """Lets faults strike the nodes of a population and its network."""

    def __init__(
        self,
        population: Population,
        network: SimNetwork,
        damage: DamageRecord,
        crashes_in_work: float = 0.0,
    ) -> None:
        """``crashes_in_work`` is the share of crashes that befall a node while it writes to a disk
        that has files."""
        self._crashes_in_work = crashes_in_work
        self._population, self._network, self._damage = population, network, damage
        self._awaits = AwaitCounter(population.loop)
        self._drops = DatagramDropper(kind_of)
        self._partitions = 0

    async def strike(self, fault: Fault) -> None:
        """Begin a fault and, if it lasts, end it."""
        now_s = self._population.loop.time()
        self._network.trace.state(now_s, f"fault {fault.kind}", f"{fault.node} {fault.amount}")
        if fault.kind is FaultKind.PARTITION:
            await self._partition(fault)
        elif fault.kind is FaultKind.DROP:
            await self._drop(fault)
        elif fault.kind is FaultKind.OUTAGE:
            await self._outage(fault)
        elif fault.kind in (FaultKind.CRASH, FaultKind.LOST_WRITES):
            await self._crash(fault)
        elif fault.kind is FaultKind.SLEEP:
            await sleep(self._population, fault.node, fault.lasting_s)
        else:
            await self._spoil(fault, self._population.members[fault.node])

    async def _partition(self, fault: Fault) -> None:
        addresses = [member.address for member in self._population.members]
        self._network.partition(halves(fault, addresses))
        self._partitions += 1
        await asyncio.sleep(fault.lasting_s)
        self._partitions -= 1
        if not self._partitions:
            self._network.heal()

    async def _drop(self, fault: Fault) -> None:
        kind = DROPPED[fault.amount % len(DROPPED)]
        self._drops.begin(kind)
        self._network.drops = self._drops  # not before: it is asked about every datagram
        now_s = self._population.loop.time
        ended = self._damage.dropping(now_s()) if kind in _ANNOUNCED_BY else None
        await asyncio.sleep(fault.lasting_s)
        self._drops.end(kind)
        if ended is not None:
            ended(now_s())

    async def _outage(self, fault: Fault) -> None:
        """All machines of a failure domain lose power at once; those that ran, and those that were
        to start meanwhile, start together when it is back."""
        population, power = self._population, self._population.power
        domains = list(dict.fromkeys(one.domain for one in population.members if one.domain))
        domain = domains[fault.amount % len(domains)]
        power.cut(domain)
        for member in population.up():
            if member.domain == domain:
                population.crash(member.number)
                power.wait(member.number)
        await asyncio.sleep(fault.lasting_s)
        if power.restore(domain):
            numbers = [one.number for one in population.members if one.domain == domain]
            back = [partial(self._power_on, number) for number in numbers]
            await run_all(back, limit=len(back))

    async def _power_on(self, number: int) -> None:
        with_data = self._population.power.take(number)
        if with_data is not None and self._population.can_start(number):
            await self._start(number, with_data=with_data)

    async def _start(self, number: int, *, with_data: bool = True) -> None:
        with contextlib.suppress(CrashedMeanwhile):  # while it started or joined
            await self._population.start(number, with_data=with_data)
            await enter(self._population, number)

    async def _crash(self, fault: Fault) -> None:
        """At an await of the node's code or in the midst of what it writes; it comes back after a
        while with its disk."""
        member = self._population.members[fault.node]
        if member.node is None:
            return
        life, crashed = member.life, asyncio.Event()
        silent = fault.kind is FaultKind.LOST_WRITES

        def crash() -> None:
            self._population.crash(fault.node, silent=silent)
            crashed.set()

        if not (self._in_work(fault) and member.disk.stop_after(_changes(fault), crash)):
            self._awaits.arm(life, fault.amount, crash)
        try:
            async with asyncio.timeout(_AWAITED_WITHIN_S):
                await crashed.wait()
        except TimeoutError:
            if (
                member.life == life and member.node is not None
            ):  # idle so long: any moment is as good
                crash()
        finally:
            self._awaits.disarm(life)
            member.disk.stop_after(None, crash)
        await asyncio.sleep(fault.lasting_s)
        if member.life == life and not self._population.power.has(member.domain):
            self._population.power.wait(fault.node)
        elif member.life == life and self._population.can_start(fault.node):
            await self._start(fault.node)

    def _in_work(self, fault: Fault) -> bool:
        chance = random.Random(derived_seed(fault.amount, f"in work/{fault.node}/{fault.at_s}"))
        return chance.random() < self._crashes_in_work

    async def _spoil(self, fault: Fault, member: Member) -> None:
        blocks = member.disk.blocks
        if fault.kind is FaultKind.BIT_ROT:
            rotten = rot_one(blocks, fault.amount)
            if rotten is not None:
                now_s = self._population.loop.time()
                self._damage.rotted(fault.node, rotten.multihash, now_s)
        elif fault.kind is FaultKind.LIE:
            blocks.lying = True
            self._damage.lies(fault.node)
        elif fault.kind is FaultKind.DISK_FULL:
            blocks.fill_disk(fault.amount)
            await asyncio.sleep(fault.lasting_s)
            blocks.free_disk()
        else:
            member.blocking.delay_s = (1 + fault.amount % 1000) * _MS
            await asyncio.sleep(fault.lasting_s)
            member.blocking.delay_s = 0.0


def _changes(fault: Fault) -> int:
    """After how many changes of a node's files a crash comes in its work."""
    return 1 + fault.amount % _CHANGES_MAX


def rot_one(store: FaultyBlockStore, amount: int) -> Cid | None:
    """Damage one block of the store, chosen by the fault; None if it has none."""
    cids = sorted(store.cids())
    if not cids:
        return None
    cid = cids[amount % len(cids)]
    store.rot(cid, amount)
    return cid
