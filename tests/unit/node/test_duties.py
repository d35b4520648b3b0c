"""What a node does by itself: announcing what it keeps, and writing down whom it knows."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from dhtstore.errors import Unreachable
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, Contact, ContactRecord
from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import attach
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk
from dhtstore.node.duties.reprovide import Reprovide
from dhtstore.node.duties.save_peers import SavePeers
from dhtstore.node.identity import Identity
from dhtstore.node.ports import NodeSettings
from dhtstore.params import (
    PEERS_SAVE_FIRST_S,
    PEERS_SAVE_INTERVAL_S,
    REPROVIDE_INTERVAL_S,
    REPROVIDE_JITTER,
    SIGNATURE_BYTES,
)
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.wire.datagram import pack_contact
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.entropy import SimEntropy
from tests.unit.node.copies_world import new_ledger


@dataclass(slots=True)
class Heard:
    """Index nodes that write down what they are told and when; ``deaf`` to some keys."""

    loop: VirtualLoop
    contacts: list[float] = field(default_factory=list)
    units: list[tuple[float, DhtKey]] = field(default_factory=list)
    deaf: set[DhtKey] = field(default_factory=set)

    async def publish_contact(self, timeout_s: float) -> int:
        self.contacts.append(self.loop.time())
        return 1

    async def provide(
        self,
        key: DhtKey,
        records: Sequence[tuple[ProviderRecord, ContactRecord]],
        *,
        timeout_s: float,
    ) -> int:
        if key in self.deaf:
            raise Unreachable("nobody answers")
        assert [record.key for record, _ in records] == [key]
        self.units.append((self.loop.time(), key))
        return 1


class Holding:
    """A node that keeps three claimed units and one that is pinned."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.heard, self.joined = Heard(self.loop), asyncio.Event()
        self.events: list[str] = []
        crypto, clock = SimCrypto(b"node", b"node"), SimClock(self.loop)
        identity = Identity(crypto, clock, NodeSettings(), lambda: (Address("10.0.0.1", 7400),))
        self.ledger = new_ledger()
        self.units = [unit(number) for number in range(4)]
        for each in self.units[:3]:
            self.ledger.claims.put(claim_of(each))
        self.ledger.pins.add(self.units[3].roots[0], "by hand", "user", [self.units[3]])
        self.reprovide = Reprovide(
            identity,
            Disk(MemoryBlockStore(), InlineBlocking()),
            self.ledger,
            self.heard,
            clock,
            SimEntropy(1, "node"),
            lambda event, **fields: self.events.append(event),
            self.joined,
        )

    def play(self, scene: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            await scene()

        run(main(), self.loop)

    async def run_for(self, seconds: float) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.reprovide.run()


def unit(number: int) -> Unit:
    return Unit.of((Cid.of(b"%d" % number),), 1)


def claim_of(each: Unit, expires: int = 0) -> Claim:
    policy = Policy(b"o" * 32, each.roots[0].raw, 1, 3, expires, removed=False)
    signed = attach(policy, bytes(SIGNATURE_BYTES))
    return Claim(each.name, (each.roots[0].raw,), each.spine, 1, 1, signed)


def test_every_unit_is_announced_once_and_so_is_where_the_node_is() -> None:
    node = Holding()

    async def scene() -> None:
        assert await node.reprovide.announce_all() == 4
        assert len(node.heard.contacts) == 1
        keys = [key for _, key in node.heard.units]
        assert sorted(keys) == sorted(each.key for each in node.units)

    node.play(scene)


def test_a_unit_that_nobody_takes_costs_only_itself_and_is_told() -> None:
    node = Holding()

    async def scene() -> None:
        node.heard.deaf = {node.units[1].key}
        assert await node.reprovide.announce_all() == 3
        assert node.events == ["reprovide.failed"]
        node.heard.deaf = set()
        assert await node.reprovide.announce_all() == 4

    node.play(scene)


def test_it_waits_for_a_network_and_comes_round_before_records_expire() -> None:
    node = Holding()

    async def scene() -> None:
        await node.run_for(3600.0)
        assert node.heard.contacts == []
        node.joined.set()
        await node.run_for(5 * REPROVIDE_INTERVAL_S)
        rounds = node.heard.contacts
        pauses = [after - before for before, after in itertools.pairwise(rounds)]
        assert len(pauses) >= 4
        assert max(pauses) <= REPROVIDE_INTERVAL_S + 1
        assert min(pauses) >= REPROVIDE_INTERVAL_S * (1 - REPROVIDE_JITTER)
        assert len(set(pauses)) > 1

    node.play(scene)


def test_what_is_no_longer_wanted_is_no_longer_announced() -> None:
    node = Holding()

    async def scene() -> None:
        node.ledger.claims.forget(node.units[0].name)
        node.ledger.pins.remove(node.units[3].roots[0], "user")
        assert await node.reprovide.announce_all() == 2

    node.play(scene)


# --- peers ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Table:
    """A routing table of ``size`` contacts."""

    size: int = 0

    def packed_contacts(self) -> list[bytes]:
        return [pack_contact(contact(number)) for number in range(self.size)]


def contact(number: int) -> Contact:
    return Contact.of(PublicKey(number.to_bytes(32, "big")), Address("10.0.0.1", 7400))


def saved_after(table: Table, seconds: float) -> list[Contact]:
    """What the next start finds, when this one ends after so long."""
    peers = new_ledger().peers

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await SavePeers(table, peers, InlineBlocking()).run()

    run(main(), VirtualLoop())
    return peers.load()


def test_peers_are_saved_soon_after_a_start() -> None:
    assert saved_after(Table(2), PEERS_SAVE_FIRST_S - 1) == []
    assert saved_after(Table(2), PEERS_SAVE_FIRST_S + 1) == [contact(0), contact(1)]


def test_peers_are_saved_less_and_less_often_and_never_seldom() -> None:
    times: list[float] = []

    class Watched(Table):
        def packed_contacts(self) -> list[bytes]:
            times.append(asyncio.get_running_loop().time())
            return []

    saved_after(Watched(), 20 * PEERS_SAVE_INTERVAL_S)
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses == sorted(pauses)
    assert max(pauses) == PEERS_SAVE_INTERVAL_S
    assert times[0] == PEERS_SAVE_FIRST_S


def test_an_empty_table_does_not_wipe_out_what_was_saved() -> None:
    peers = new_ledger().peers
    for size in (3, 0):
        run(SavePeers(Table(size), peers, InlineBlocking()).save(), VirtualLoop())
    assert len(peers.load()) == 3
