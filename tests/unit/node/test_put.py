"""Putting, with holders that do as they are told: what is promised, reported and written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from dhtstore.content.dag.local import local_units
from dhtstore.dht.core.record_rules import Published
from dhtstore.dht.engine.policies.policies import StoredPolicy
from dhtstore.errors import NoRoom, NotAnnounced, QuorumNotReached, UsageError
from dhtstore.model.identity import DhtKey, format_node
from dhtstore.model.policy import Policy
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.open_offers import OpenOffers
from dhtstore.node.copies.placed import CopyReport
from dhtstore.node.flows.bring import Bringing
from dhtstore.node.flows.put import Uploader
from dhtstore.node.identity import Identity
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.keeping.staging import Staging
from dhtstore.node.policies.book import PolicyBook
from dhtstore.node.ports import NodeSettings
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.node.warnings import Warnings
from dhtstore.operations.operation import Progress, unwatched
from dhtstore.params import MIB
from dhtstore.replication.ranking import Stage
from dhtstore.store.blocks.memory import MemoryBlockStore
from simulations.world.ports.clock import SimClock
from tests.unit.node.copies_world import (
    STORAGE,
    Directory,
    ScriptedHolder,
    add_holder,
    contact_of,
    identity_of,
    new_ledger,
    placer_of,
)
from tests.unit.node.data_plane import Peer, World, play

CLIENT = NodeSettings()
CONTENT = b"z" * (MIB + 1)


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


@dataclass(slots=True)
class Cast:
    """A node that puts, and two holders."""

    peer: Peer
    uploader: Uploader
    holders: list[ScriptedHolder]
    directory: Directory
    again: list[Unit]  # to be announced again soon
    spread: list[tuple[Policy, Policy | None, int]]  # with what was wanted before, of so many units
    progress: list[Progress] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        return self.uploader.ledger

    async def put(
        self, replicas: int | None = None, min_acks: int | None = None, data: bytes = CONTENT
    ) -> PutOutcome:
        return await self.uploader.put(
            stream(data),
            name="file",
            replicas=replicas,
            min_acks=min_acks,
            progress=self.progress.append,
        )


def disk_of(peer: Peer, capacity_bytes: int | None) -> Disk:
    """The peer's own, or a small one that nobody can fetch from."""
    if capacity_bytes is None:
        return peer.disk
    return Disk(MemoryBlockStore(capacity_bytes), peer.blocking)


class NoPlaces:
    """Nobody keeps policies."""

    async def store(self, policy: Policy, timeout_s: float) -> StoredPolicy:
        return StoredPolicy(0, outrun=False)

    async def find(self, key: DhtKey, timeout_s: float) -> Policy | None:
        return None


async def nothing(policy: Policy) -> None:
    """To do."""


Scene = Callable[[Cast], Awaitable[None]]


def stage(
    scene: Scene, settings: NodeSettings = STORAGE, capacity_bytes: int | None = None
) -> None:
    async def whole(world: World) -> None:
        peer = await world.peer("uploader")
        holders = [await add_holder(world, f"holder {number}") for number in range(2)]
        others = [contact_of(each) for each in world.peers[1:]]
        directory, again = Directory([others], others), list[Unit]()
        spread = list[tuple[Policy, Policy | None, int]]()
        disk, ledger = disk_of(peer, capacity_bytes), new_ledger()
        identity = identity_of(peer, settings)
        placer, offers = placer_of(peer, directory, settings), OpenOffers()
        uploader = Uploader(
            identity,
            disk,
            ledger,
            placer,
            Bringing(disk, ledger, peer.clock, offers, peer.server.lending, placer.storage_nodes),
            Staging(
                Collector(disk, ledger, peer.clock, Warnings()),
                Warnings(),
                keeps_all=settings.storage,
            ),
            settings,
            peer.clock,
            PolicyBook(identity, disk, ledger, NoPlaces(), peer.clock, nothing),
            again.append,
            lambda policy, earlier, units: spread.append((policy, earlier, len(units))),
        )
        await scene(Cast(peer, uploader, holders, directory, again, spread))

    play(whole)


def test_a_storage_node_is_one_of_the_copies_and_all_is_written_down() -> None:
    async def scene(cast: Cast) -> None:
        result = await cast.put()
        assert (result.copies, result.replicas, result.min_acks) == (3, 3, 2)
        assert result.size_bytes == len(CONTENT)
        assert result.causes == {}
        signers = {receipt.public_key for receipt in result.receipts}
        assert signers == {peer.key for peer in cast.peer.world.peers}
        [record] = cast.ledger.puts.list()
        assert (record.cid, record.name, record.units) == (result.cid, "file", 1)
        assert record.policy.replicas == 3
        assert len(cast.ledger.receipts.for_root(result.cid)) == 3
        assert [pin.cid for pin in cast.ledger.pins.list()] == [result.cid]
        assert {record.signer for record, _ in cast.directory.provided} == signers

    stage(scene)


def test_a_client_keeps_nothing_and_pins_nothing() -> None:
    async def scene(cast: Cast) -> None:
        result = await cast.put(replicas=2)
        assert (result.copies, result.min_acks) == (2, 2)
        assert cast.peer.store.count() == 0
        assert cast.ledger.pins.list() == []
        assert cast.ledger.claims.count_kept(0) == 0
        assert len(cast.ledger.receipts.for_root(result.cid)) == 2

    stage(scene, CLIENT)


def test_a_second_put_without_a_name_keeps_the_name_of_the_first() -> None:
    async def scene(cast: Cast) -> None:
        async def put(name: str, *, named: bool) -> str:
            await cast.uploader.put(
                stream(CONTENT),
                name=name,
                named=named,
                replicas=None,
                min_acks=1,
                progress=unwatched,
            )
            [record] = cast.ledger.puts.list()
            assert [pin.name for pin in cast.ledger.pins.list()] == [record.name]
            return record.name

        assert await put("-", named=False) == "-"
        assert await put("z.bin", named=False) == "z.bin"
        assert await put("holiday", named=True) == "holiday"
        assert await put("moved.bin", named=False) == "holiday"
        assert await put("-", named=False) == "holiday"
        assert await put("other", named=True) == "other"

    stage(scene)


def test_a_second_put_keeps_how_many_copies_are_wanted_and_says_so() -> None:
    async def scene(cast: Cast) -> None:
        async def put(replicas: int | None, name: str = "a") -> tuple[int, bool, str]:
            result = await cast.uploader.put(
                stream(CONTENT),
                name=name,
                named=False,
                replicas=replicas,
                min_acks=1,
                progress=unwatched,
            )
            [record] = cast.ledger.puts.list()
            assert record.policy.replicas == result.replicas
            return result.replicas, result.replicas_kept, result.name_kept

        assert await put(None) == (3, False, "")
        assert await put(2) == (2, False, "")
        assert await put(None, "b") == (2, True, "a")
        assert await put(3) == (3, False, "")
        assert await put(None) == (3, False, "")
        policies = [policy for policy, _, _ in cast.spread]
        assert [earlier for _, earlier, _ in cast.spread] == [None, *policies[:-1]]
        assert [policy.replicas for policy in policies] == [3, 2, 2, 3, 3]
        assert {units for _, _, units in cast.spread} == {1}

    stage(scene)


def test_a_name_that_no_list_could_show_is_refused() -> None:
    async def scene(cast: Cast) -> None:
        with pytest.raises(UsageError, match="more than 255 characters"):
            await cast.uploader.put(
                stream(CONTENT), name="n" * 256, replicas=1, min_acks=1, progress=unwatched
            )
        assert cast.ledger.puts.list() == []

    stage(scene)


def test_copies_at_one_address_are_on_one_host() -> None:
    async def scene(cast: Cast) -> None:
        result = await cast.put()
        hosts = {peer.address.host for peer in cast.peer.world.peers}
        assert (result.copies, result.hosts, result.subnets) == (3, len(hosts), 1)

    stage(scene)


def test_each_node_that_was_asked_is_reported() -> None:
    async def scene(cast: Cast) -> None:
        refuses, holds = cast.holders
        refuses.refuses = "no room for you"
        result = await cast.put(min_acks=2)
        [unit] = local_units(cast.peer.store, result.cid)
        own, refused, held = (
            next(each for each in result.reports if each.node == identity.node)
            for identity in (cast.uploader.identity, refuses.identity, holds.identity)
        )
        assert len(result.reports) == 3
        assert {report.unit for report in result.reports} == {unit.name}
        assert own.stage is Stage.HELD
        assert own.receipt in result.receipts
        assert refused == CopyReport(
            unit.name, refuses.identity.node, Stage.REFUSED, "no room for you", code="room"
        )
        assert (held.stage, held.why, held.copied_bytes) == (Stage.HELD, "", len(CONTENT))
        assert held.receipt in result.receipts
        assert result.causes == {format_node(refuses.identity.node): "no room for you"}

    stage(scene)


def test_a_node_that_was_found_and_not_asked_is_reported_with_the_reason() -> None:
    async def scene(cast: Cast) -> None:
        result = await cast.put(replicas=2)
        assert len(cast.directory.known) == 2
        *held, passed_over = result.reports
        assert [report.stage for report in held] == [Stage.HELD, Stage.HELD]
        assert (passed_over.stage, passed_over.why) == (Stage.FOUND, "")
        assert passed_over.reason.startswith("not asked: enough others came before it; ")

    stage(scene)


def test_one_that_had_reserved_and_failed_is_reported_as_such() -> None:
    async def scene(cast: Cast) -> None:
        cast.holders[0].fails = "the disk is broken"
        result = await cast.put()
        assert result.copies == 2
        [report] = [each for each in result.reports if each.stage is not Stage.HELD]
        assert report.node == cast.holders[0].identity.node
        assert (report.stage, report.why) == (Stage.FAILED, "the disk is broken")
        assert report.receipt is None

    stage(scene)


def test_fewer_copies_than_asked_for_is_an_error_that_brings_the_result() -> None:
    async def scene(cast: Cast) -> None:
        for holder in cast.holders:
            holder.refuses = "no room for you"
        with pytest.raises(QuorumNotReached, match="2 had no room for it") as caught:
            await cast.put()
        error = caught.value
        assert (error.copies, error.replicas, error.min_acks) == (1, 3, 2)
        assert list(error.causes.values()) == ["no room for you"] * 2
        assert "--min-acks 1" in error.hint
        assert isinstance(error.partial, PutOutcome)
        assert len(error.partial.reports) == 3
        assert [record.cid for record in cast.ledger.puts.list()] == [error.partial.cid]

    stage(scene)


def test_a_record_that_is_refused_costs_only_its_own_copy() -> None:
    async def scene(cast: Cast) -> None:
        late, full = (holder.identity for holder in cast.holders)
        cast.directory.refuses = {
            late.public_key: Published(0, {"out of time": 20}),
            full.public_key: Published(0, {"full": 20}),
        }
        result = await cast.put(min_acks=2)
        assert result.copies == 2
        assert {receipt.public_key for receipt in result.receipts} == {
            cast.uploader.identity.public_key,
            full.public_key,
        }
        assert result.causes == {
            format_node(late.node): "no index node keeps its record: out of time (20 nodes)",
            format_node(full.node): "no index node keeps its record: full (20 nodes)",
        }
        stages = {report.node: report.stage for report in result.reports}
        assert (stages[late.node], stages[full.node]) == (Stage.FAILED, Stage.HELD)
        assert cast.again == []

    stage(scene)


def test_a_node_whose_own_record_is_refused_is_no_copy() -> None:
    """As where its clock is 20 minutes ahead of everybody's."""

    async def scene(cast: Cast) -> None:
        own = cast.uploader.identity
        cast.directory.refuses = {own.public_key: Published(0, {"out of time": 20})}
        result = await cast.put(min_acks=1)
        assert result.copies == 2
        assert "out of time" in result.causes[format_node(own.node)]
        assert [unit.roots for unit in cast.again] == [(result.cid,)]

    stage(scene)


@pytest.mark.parametrize(
    ("ahead_s", "told"),
    [(172_800, "its clock is 2 days ahead"), (-172_800, "its clock is 2 days behind")],
)
def test_a_holder_whose_clock_is_days_off_is_no_copy_and_its_cause_says_so(
    ahead_s: float, told: str
) -> None:
    async def scene(cast: Cast) -> None:
        off, right = cast.holders
        clock = SimClock(cast.peer.world.loop, ahead_s)
        off.identity = Identity(
            cast.peer.world.peers[1].crypto, clock, STORAGE, off.identity.addresses
        )
        result = await cast.put(min_acks=2)
        assert result.copies == 2
        assert result.causes == {format_node(off.identity.node): told}
        signers = {record.signer for record, _ in cast.directory.provided}
        assert signers == {cast.uploader.identity.public_key, right.identity.public_key}

    stage(scene)


def test_a_node_that_knows_its_own_clock_to_be_off_says_so_where_copies_are_few() -> None:
    async def scene(cast: Cast) -> None:
        cast.directory.near = []
        cast.directory.clock_ahead = -172_800.0
        with pytest.raises(QuorumNotReached, match="clock is 2 days behind those of most peers"):
            await cast.put(min_acks=2)

    stage(scene)


def test_copies_that_no_index_node_was_told_of_are_no_success() -> None:
    async def scene(cast: Cast) -> None:
        cast.directory.takes_records = False
        with pytest.raises(NotAnnounced, match="no node took the records") as caught:
            await cast.put()
        assert isinstance(caught.value.partial, PutOutcome)
        [record] = cast.ledger.puts.list()
        assert caught.value.partial.cid == record.cid
        assert caught.value.partial.copies == 3
        assert [unit.roots for unit in cast.again] == [(record.cid,)]

    stage(scene)


@pytest.mark.parametrize(("replicas", "min_acks"), [(65, None), (-1, None), (3, 4), (1, -1)])
def test_counts_that_cannot_be_are_refused_before_anything_is_read(
    replicas: int, min_acks: int | None
) -> None:
    async def scene(cast: Cast) -> None:
        with pytest.raises(UsageError):
            await cast.put(replicas, min_acks)
        assert cast.progress == []
        assert cast.peer.store.count() == 0

    stage(scene)


def test_what_has_no_room_here_is_offered_to_nobody() -> None:
    async def scene(cast: Cast) -> None:
        with pytest.raises(NoRoom):
            await cast.put()
        assert cast.directory.looked == []
        assert cast.ledger.puts.list() == []

    stage(scene, capacity_bytes=MIB)


def test_what_nobody_holds_is_not_written_down_as_put() -> None:
    async def scene(cast: Cast) -> None:
        cast.directory.near = []
        with pytest.raises(QuorumNotReached):
            await cast.put()
        assert cast.ledger.puts.list() == []

    stage(scene, NodeSettings(capacity_bytes=0))


def test_a_second_put_has_a_newer_policy_also_within_one_second() -> None:
    async def scene(cast: Cast) -> None:
        near = cast.directory.near[0]
        first = await cast.put()
        cast.directory.near = [near]
        second = await cast.put()
        assert first.cid == second.cid
        assert second.receipts[0].policy_seq > first.receipts[0].policy_seq
        assert len(cast.ledger.puts.list()) == 1

    stage(scene)


def test_progress_reads_then_copies_to_all_who_hold() -> None:
    async def scene(cast: Cast) -> None:
        await cast.put()
        phases = [step.phase for step in cast.progress]
        assert list(dict.fromkeys(phases)) == ["reading", "copying"]
        last = cast.progress[-1]
        assert last.done_bytes == last.total_bytes == 2 * len(CONTENT)
        assert last.holders == 2

    stage(scene)


def test_cancelled_it_leaves_nothing_reserved_and_a_client_nothing_staged() -> None:
    async def scene(cast: Cast) -> None:
        for holder in cast.holders:
            holder.thinks_s = 2.0
        putting = cast.peer.supervisor.spawn(cast.put(replicas=2), "put")
        await asyncio.sleep(1.0)
        putting.cancel()
        await asyncio.sleep(3.0)
        assert cast.peer.store.count() == 0
        assert [holder.disk.store.used_bytes for holder in cast.holders] == [0, 0]
        assert cast.ledger.puts.list() == []

    stage(scene, CLIENT)


def test_what_two_holders_say_they_have_cannot_end_a_put() -> None:
    async def scene(cast: Cast) -> None:
        for holder in cast.holders:
            holder.tells_bytes = (2**63 - 1,)
        assert (await cast.put()).copies == 3
        assert max(step.done_bytes for step in cast.progress) == 2 * len(CONTENT)

    stage(scene)


def test_a_watcher_that_fails_ends_nothing_and_is_told_afterwards() -> None:
    async def scene(cast: Cast) -> None:
        def watch(step: Progress) -> None:
            if step.phase == "copying":
                raise RuntimeError("a broken display")

        putting = cast.uploader.put(
            stream(CONTENT), name="file", replicas=3, min_acks=1, progress=watch
        )
        with pytest.raises(RuntimeError, match="display"):
            await putting
        [record] = cast.ledger.puts.list()
        assert len(cast.ledger.receipts.for_root(record.cid)) == 3
        assert [pin.cid for pin in cast.ledger.pins.list()] == [record.cid]

    stage(scene)


def test_cancelled_it_remembers_the_copies_that_were_made() -> None:
    async def scene(cast: Cast) -> None:
        cast.holders[1].works_s = 9.0
        putting = cast.peer.supervisor.spawn(cast.put(replicas=2), "put")
        await asyncio.sleep(5.0)
        putting.cancel()
        await asyncio.sleep(3.0)
        assert putting.cancelled()
        [record] = cast.ledger.puts.list()
        [receipt] = cast.ledger.receipts.for_root(record.cid)
        assert receipt.signer == cast.holders[0].identity.public_key
        assert cast.peer.store.count() == 0

    stage(scene, CLIENT)
