"""What a node does by itself: announcing what it keeps, and writing down whom it knows."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.node.context import Disk
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.duties.keep_sequence import KeepSequence
from dhtstore.node.duties.save_peers import SavePeers
from dhtstore.node.flows.verify import Verified, verify
from dhtstore.node.identity import Identity
from dhtstore.node.ports import NodeSettings
from dhtstore.node.warnings import Warnings
from dhtstore.operations.operation import Progress, unwatched
from dhtstore.params import (
    PEERS_SAVE_FIRST_S,
    PEERS_SAVE_INTERVAL_S,
    REPROVIDE_INTERVAL_S,
    REPROVIDE_JITTER,
    REPROVIDE_RETRY_FIRST_S,
)
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.sequence import LastSequence
from dhtstore.trace import no_trace
from dhtstore.wire.datagram import pack_contact
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from tests.unit.node.announcing.world import Holding, claim_of, unit
from tests.unit.node.copies_world import new_ledger


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
        assert node.events == ["reprovide.failed", "reprovide.round"]
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


def test_what_nobody_took_is_announced_again_soon_and_less_and_less_often() -> None:
    node = Holding()

    async def scene() -> None:
        node.heard.deaf = {node.units[1].key}
        node.joined.set()
        await node.run_for(600.0)
        assert len(node.heard.contacts) == 1
        assert len(node.heard.units) == 3
        failures = node.events.count("reprovide.failed")
        assert 4 <= failures <= 6
        await node.run_for(6 * 3600.0)
        assert node.events.count("reprovide.failed") - failures <= 14

    node.play(scene)


def test_once_it_is_taken_it_waits_for_the_next_round() -> None:
    node = Holding()

    async def scene() -> None:
        node.heard.away = True
        node.joined.set()
        node.loop.call_later(100.0, setattr, node.heard, "away", False)
        await node.run_for(3600.0)
        last_s = max(second for second, _ in node.heard.units)
        assert REPROVIDE_RETRY_FIRST_S < last_s < 100.0 + 4 * REPROVIDE_RETRY_FIRST_S
        assert len({key for second, key in node.heard.units if second > 100.0}) == 4
        assert node.heard.contacts[-1] > 100.0

    node.play(scene)


def test_what_became_due_in_a_sleep_is_done_at_the_wake() -> None:
    """Timers of the event loop stood still: there is still most of the rest to wait for."""
    node = Holding()

    async def scene() -> None:
        node.joined.set()
        node.loop.call_later(60.0, node.sleep, 30 * 3600.0)
        await node.run_for(90.0)
        assert len(node.heard.contacts) == 2
        assert len(node.heard.units) == 8

    node.play(scene)


def test_a_short_sleep_makes_nothing_due() -> None:
    node = Holding()

    async def scene() -> None:
        node.joined.set()
        node.loop.call_later(60.0, node.sleep, 3600.0)
        await node.run_for(90.0)
        assert len(node.heard.contacts) == 1

    node.play(scene)


@pytest.mark.parametrize("set_s", [-7200.0, 7200.0])
def test_a_wall_clock_that_was_set_makes_everything_due(set_s: float) -> None:
    node = Holding()

    async def scene() -> None:
        node.joined.set()
        node.loop.call_later(60.0, node.clock.set_wall, set_s)
        await node.run_for(120.0)
        assert len(node.heard.contacts) == 2
        old, new = node.heard.records[:4], node.heard.records[4:]
        assert sorted(record.key for record in new) == sorted(record.key for record in old)
        assert min(r.sequence for r in new) > max(r.sequence for r in old)
        assert new[0].issued == pytest.approx(old[0].issued + set_s + 60, abs=60)

    node.play(scene)


def test_a_unit_that_was_kept_without_anybody_hearing_is_announced_soon() -> None:
    """As after a put or a pin while the line was down."""
    node = Holding()

    async def scene() -> None:
        node.joined.set()
        await node.run_for(60.0)
        node.heard.deaf = {node.units[2].key}
        assert not await node.reprovide.announce(node.units[2])
        node.heard.deaf = set()
        heard = len(node.heard.units)
        await node.run_for(REPROVIDE_RETRY_FIRST_S)
        assert [key for _, key in node.heard.units[heard:]].count(node.units[2].key) >= 1

    node.play(scene)


# --- the contact record -----------------------------------------------------------------------


def test_each_round_prolongs_the_contact_record() -> None:
    """One that misses the next round must not be lost: the same record again would not live on."""
    node = Holding()
    identity, earlier = node.reprovide.identity, node.reprovide.identity.record()

    async def scene() -> None:
        await asyncio.sleep(REPROVIDE_INTERVAL_S * (1 - REPROVIDE_JITTER))
        assert identity.record().sequence > earlier.sequence
        assert identity.record() is identity.record()

    node.play(scene)


def test_a_contact_record_of_the_future_is_signed_anew_and_is_newer() -> None:
    node = Holding()
    identity = node.reprovide.identity
    node.clock.skew_s = 172_800.0
    ahead = identity.record()
    node.clock.skew_s = 0.0
    assert identity.record().issued == ahead.issued - 172_800
    assert identity.record().sequence == ahead.sequence + 1


# --- sequences --------------------------------------------------------------------------------


def test_a_restart_with_a_clock_set_back_signs_what_is_newer() -> None:
    table, loop = MemoryKeyValue(), VirtualLoop()
    clock = SimClock(loop)

    def life() -> tuple[Identity, KeepSequence]:
        crypto = SimCrypto(b"node", b"node")
        identity = Identity(crypto, clock, NodeSettings(), lambda: ())
        return identity, KeepSequence(identity, LastSequence(table), InlineBlocking(), Warnings())

    async def scene() -> None:
        identity, duty = life()
        await duty.begin()
        sequence = identity.provider_record(unit(1).key).sequence
        clock.skew_s = -86_400.0
        identity, duty = life()  # the first crashed
        await duty.begin()
        again = identity.provider_record(unit(1).key).sequence
        await duty.end()
        identity, duty = life()  # the second stopped
        await duty.begin()
        assert again > sequence
        assert identity.provider_record(unit(1).key).sequence == again + 1

    run(scene(), loop)


def test_a_disk_that_takes_no_sequence_ends_nothing() -> None:
    events: list[str] = []

    class Full(MemoryKeyValue):
        def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
            raise NoRoom("the disk is full")

    loop = VirtualLoop()
    identity = Identity(SimCrypto(b"n", b"n"), SimClock(loop), NodeSettings(), lambda: ())
    duty = KeepSequence(
        identity,
        LastSequence(Full()),
        InlineBlocking(),
        Warnings(lambda event, **fields: events.append(event)),
    )
    run(duty.begin(), loop)
    assert events == ["sequence.failed"]


# --- what is kept and not here --------------------------------------------------------------


@pytest.mark.parametrize("lost", [0, 3])  # claimed, pinned
def test_what_is_not_here_is_not_announced_and_told(lost: int) -> None:
    node = Holding()

    async def scene() -> None:
        node.store.delete(node.units[lost].roots)
        assert await node.reprovide.announce_all() == 3
        assert node.units[lost].key not in [key for _, key in node.heard.units]
        assert node.events == ["unit.incomplete", "store.failed", "reprovide.round"]
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
        return await verify(completeness, 0, unwatched)

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
    peers, loop = new_ledger().peers, VirtualLoop()
    clock = SimClock(loop)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await SavePeers(table, peers, InlineBlocking(), clock, Warnings()).run()

    run(main(), loop)
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
        loop = VirtualLoop()
        saving = SavePeers(Table(size), peers, InlineBlocking(), SimClock(loop), Warnings())
        run(saving.save(), loop)
    assert len(peers.load()) == 3


def test_a_verify_that_was_cut_short_goes_on_and_looks_again_at_what_was_damaged() -> None:
    node, read = Holding(), list[Cid]()
    more = {Cid.of(data): data for data in (b"more %d" % number for number in range(496))}
    get = node.store.get

    def counted(cid: Cid, *, afresh: bool = False) -> bytes:
        read.append(cid)
        return get(cid, afresh=afresh)

    async def scene() -> None:
        with node.store.batch() as batch:
            for cid, data in more.items():
                batch.put(cid, data)
            batch.commit()
        node.store.get = counted  # type: ignore[method-assign]
        cids = list(node.store.cids())
        rotten = [cid for cid in cids if cid in more][:2]
        for cid in rotten:
            node.store.rot(cid)

        def cut(progress: Progress) -> None:
            if progress.phase == "verifying":
                raise TimeoutError

        with pytest.raises(TimeoutError):
            await verify(node.completeness, 1000, cut)
        there = len(read)
        assert 0 < there < 500
        node.store.renewed([rotten[1].multihash])
        read.clear()
        found = await verify(node.completeness, 2000, unwatched)
        assert read[:2] == rotten
        assert len(read) == 500 - there + 2  # units of one block are looked for in the index
        assert (found.blocks, found.damaged, found.before) == (499, rotten[:1], there - 1)
        read.clear()
        assert (await verify(node.completeness, 3000, unwatched)).before == 0
        assert len(read) == 500

    node.play(scene)
