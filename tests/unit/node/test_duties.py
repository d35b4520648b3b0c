"""What a node does by itself: announcing what it keeps, and writing down whom it knows."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.duties.reprovide import Reprovide
from dhtstore.node.duties.save_peers import SavePeers
from dhtstore.node.duties.stocktaking import Stocktaking
from dhtstore.node.flows.verify import Verified, verify
from dhtstore.node.identity import Identity
from dhtstore.node.ports import NodeSettings
from dhtstore.operations.operation import unwatched
from dhtstore.params import (
    PEERS_SAVE_FIRST_S,
    PEERS_SAVE_INTERVAL_S,
    REPROVIDE_INTERVAL_S,
    REPROVIDE_JITTER,
    SIGNATURE_BYTES,
)
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.trace import no_trace
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
        self.store = FaultyBlockStore(MemoryBlockStore())
        with self.store.batch() as batch:
            for number, each in enumerate(self.units):
                batch.put(each.roots[0], b"%d" % number)
            batch.commit()
        disk, tracer = Disk(self.store, InlineBlocking()), self.trace
        self.completeness = Completeness(disk, self.ledger, tracer)
        self.stocktaking = Stocktaking(identity, self.completeness)
        self.reprovide = Reprovide(
            identity,
            disk,
            self.ledger,
            self.heard,
            clock,
            SimEntropy(1, "node"),
            tracer,
            self.joined,
            self.completeness,
        )

    def trace(self, event: str, **fields: object) -> None:
        self.events.append(event)

    async def verify(self) -> Verified:
        return await verify(self.completeness, 0.0, unwatched)

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


# --- what is kept and not here --------------------------------------------------------------


@pytest.mark.parametrize("lost", [0, 3])  # claimed, pinned
def test_what_is_not_here_is_not_announced_and_told(lost: int) -> None:
    node = Holding()

    async def scene() -> None:
        node.store.delete(node.units[lost].roots)
        assert await node.reprovide.announce_all() == 3
        assert node.units[lost].key not in [key for _, key in node.heard.units]
        assert node.events == ["unit.incomplete", "store.failed"]
        assert node.completeness.incomplete == 1

    node.play(scene)


@pytest.mark.parametrize("lost", [1, 3])
def test_what_rotted_is_not_announced(lost: int) -> None:
    """Roots are read each time, leaves by ``verify``; here a root is a leaf."""
    node = Holding()

    async def scene() -> None:
        node.store.rot(node.units[lost].roots[0])
        await node.verify()
        assert await node.reprovide.announce_all() == 3
        assert node.units[lost].key not in [key for _, key in node.heard.units]

    node.play(scene)


def test_what_was_found_damaged_and_is_right_again_is_announced() -> None:
    node = Holding()

    async def scene() -> None:
        node.ledger.damage.replace([each.roots[0].multihash for each in node.units])
        assert await node.reprovide.announce_all() == 4

    node.play(scene)


def test_stocktaking_finds_what_is_missing_before_anything_is_announced() -> None:
    node = Holding()

    async def scene() -> None:
        await node.stocktaking.run()
        assert (node.completeness.incomplete, node.events) == (0, [])
        node.store.delete(node.units[2].roots)
        await node.stocktaking.run()
        assert (node.completeness.incomplete, node.heard.units) == (1, [])
        assert node.events == ["unit.incomplete", "store.failed"]

    node.play(scene)


def test_verify_names_units_and_roots_of_what_is_missing_and_of_what_rotted() -> None:
    node = Holding()

    async def scene() -> None:
        gone, rotten = node.units[0], node.units[3]
        node.store.delete(gone.roots)
        node.store.rot(rotten.roots[0])
        found = await node.verify()
        assert (found.blocks, found.damaged, found.incomplete) == (2, [rotten.roots[0]], 2)
        named = {each.unit: each.roots for each in found.units}
        assert named == {gone.name: [gone.roots[0]], rotten.name: [rotten.roots[0]]}
        assert node.ledger.damage.count() == 1
        assert node.completeness.incomplete == 2

    node.play(scene)


def test_verify_finds_nothing_where_all_is_well() -> None:
    node = Holding()

    async def scene() -> None:
        found = await node.verify()
        assert (found.blocks, found.damaged, found.incomplete, found.units) == (4, [], 0, [])

    node.play(scene)


def test_verify_finds_a_pack_that_went_under_a_running_node(tmp_path: Path) -> None:
    store, ledger = DiskBlockStore(tmp_path, None), new_ledger()
    with store.batch() as batch:
        batch.put(Cid.of(b"0"), b"0")
        batch.commit()
    ledger.claims.put(claim_of(unit(0)))
    for pack in tmp_path.glob("*.pack"):
        pack.unlink()

    async def scene() -> Verified:
        completeness = Completeness(Disk(store, InlineBlocking()), ledger, no_trace)
        return await verify(completeness, 0.0, unwatched)

    found = run(scene(), VirtualLoop())
    assert (found.blocks, found.damaged) == (0, [Cid.of(b"0")])
    assert [each.unit for each in found.units] == [unit(0).name]
    store.close()


def test_verify_names_a_pin_whose_units_cannot_be_known() -> None:
    node = Holding()

    async def scene() -> None:
        root = Cid.of(b"pinned by an earlier version")
        node.ledger.pins.add(root, "", "user", [])
        found = await node.verify()
        assert [each.roots for each in found.units] == [[root]]

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
