"""Room comes back: what nothing keeps goes, and nothing else, whatever is under way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from dhtstore.content.dag.here_walk import HereWalk
from dhtstore.content.dag.local import Leaves, local_blocks
from dhtstore.errors import NoRoom, NotHere, UsageError
from dhtstore.model.cid import Cid
from dhtstore.node.control import OperationRun, perform
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.node import Node
from dhtstore.operations.content import Get
from dhtstore.operations.keeping import WhyResult
from dhtstore.operations.operation import unwatched
from dhtstore.params import (
    CLAIM_GRACE_S,
    COLLECT_INTERVAL_S,
    COLLECT_SOON_S,
    LOST_GIVEN_UP_S,
    MIB,
)
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.health.standing import LedgerStanding
from dhtstore.store.ledger.memory import MemoryKeyValue
from simulations.events.users import get_bytes, put_bytes
from simulations.world.ports.blocking import InlineBlocking
from tests.simulation.harness import (
    Lab,
    UnevenBlocking,
    check_receipts,
    pin,
    policy_of,
    providers_seen,
    read_whole,
    small,
    tell,
    units_of,
)

T = TypeVar("T")
CONTENT = b"0123456789" * 300_000  # three leaves
SOON_S = 3 * COLLECT_SOON_S


async def why(node: Node, root: Cid) -> WhyResult:
    return await node.why().of(root)


async def fetch_cached(node: Node, root: Cid) -> None:
    """As ``get --cache`` does."""
    async with (
        node.fetch_session() as session,
        node.caching().filling(session, root, ()) as filling,
    ):
        await session.fetch(HereWalk(root), Delivery(keep=session.keep, found=session.found))
        assert filling.kept


def test_what_was_put_ends_here_and_its_room_comes_back_by_itself() -> None:
    """Before there was no way to remove anything that was put."""

    async def story(lab: Lab) -> None:
        await lab.grow(4)
        node = lab.nodes[0]
        stays = await put_bytes(node, b"stays" * 1000)
        result = await put_bytes(node, CONTENT)
        units = units_of(node, result)
        removed = await node.removing().remove(result.cid)
        assert (removed.size, removed.elsewhere, removed.pinned) == (len(CONTENT), 2, False)
        assert [put.cid for put in node.ledger.puts.list()] == [stays.cid]
        assert node.ledger.receipts.for_root(result.cid) == []
        assert [pin.cid for pin in node.ledger.pins.list()] == [stays.cid]
        assert node.ledger.claims.holdings(0).own_bytes < MIB
        assert (await why(node, result.cid)).garbage
        await asyncio.sleep(SOON_S)
        assert node.ports.store.count() == len(
            list(local_blocks(node.ports.store, stays.cid, Leaves.READ))
        )
        assert node.public_key not in await providers_seen(lab.nodes[3], units[0])
        assert await get_bytes(node, result.cid) == CONTENT, "only what is here has ended"
        with pytest.raises(NotHere):
            await node.removing().remove(result.cid)

    tell(story)


def test_what_is_not_ours_is_not_removed() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        node, other = lab.nodes[:2]
        result = await put_bytes(other, CONTENT, replicas=3)
        leaf = list(local_blocks(node.ports.store, result.cid, Leaves.READ))[-1]
        owner = other.identity.owner.hex()
        with pytest.raises(UsageError, match=f"held for owner {owner}"):
            await node.removing().remove(result.cid)
        with pytest.raises(UsageError, match=f"only a part of {result.cid}"):
            await node.removing().remove(leaf)
        [reason] = (await why(node, leaf)).reasons
        assert (reason.kind, reason.root, reason.owner) == ("claim", str(result.cid), owner)
        pinned = await put_bytes(lab.nodes[2], b"by hand", replicas=1)
        await pin(node, pinned.cid)
        with pytest.raises(UsageError, match="pinned by hand"):
            await node.removing().remove(pinned.cid)
        with pytest.raises(NotHere):
            await why(node, Cid.of(b"never here"))
        with pytest.raises(NotHere):
            await node.removing().remove(Cid.of(b"never here"))

    tell(story)


def test_a_running_put_is_neither_removed_nor_collected() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        node = await lab.add(blocking=UnevenBlocking())
        refused = 0
        for trial in range(12):
            content = b"%d" % trial + CONTENT
            work = asyncio.ensure_future(put_bytes(node, content))
            while not work.done():
                await node.collector.collect()
                for root in list(node.staging.putting):
                    with pytest.raises(UsageError, match="is being put right now"):
                        await node.removing().remove(root)
                    refused += 1
                await asyncio.sleep(lab.rng.uniform(0, 0.5))
            check_receipts(lab, await work, copies=3)
        assert refused > 3

    tell(story)


class WorkBeforeSweep(InlineBlocking):
    """Does something once between the marks of a collection and its sweep."""

    def __init__(self) -> None:
        super().__init__()
        self.work: Callable[[], Awaitable[object]] | None = None

    async def run(self, function: Callable[..., T], *args: object) -> T:
        sweeps = isinstance(function, partial) and function.func.__name__ == "sweep"
        if sweeps and self.work is not None:
            work, self.work = self.work, None
            await work()
        return await super().run(function, *args)


def test_what_came_and_was_done_after_the_marks_stays() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        blocking = WorkBeforeSweep()
        node = await lab.add(blocking=blocking)
        elsewhere = await put_bytes(lab.nodes[0], b"elsewhere" * 500_000, replicas=1)
        await fetch_cached(node, elsewhere.cid)
        works: list[tuple[Callable[[], Awaitable[object]], Cid]] = [
            (lambda: put_bytes(node, b"put"), Cid.of(b"put")),
            (lambda: put_bytes(lab.nodes[0], b"received", replicas=4), Cid.of(b"received")),
            (lambda: pin(node, elsewhere.cid), elsewhere.cid),
        ]
        for work, root in works:
            blocking.work = work
            await node.collector.collect(cache=True)
            kept = list(local_blocks(node.ports.store, root, Leaves.READ))
            assert kept
            assert blocking.work is None

    tell(story)


class ReadingAfterMarks(InlineBlocking):
    """Begins to read something once a collection has its marks."""

    def __init__(self) -> None:
        super().__init__()
        self.begin: Callable[[], object] | None = None

    async def run(self, function: Callable[..., T], *args: object) -> T:
        result = await super().run(function, *args)
        if getattr(function, "__name__", "") == "more" and not result and self.begin is not None:
            begin, self.begin = self.begin, None
            begin()
        return result


def test_what_is_read_from_after_the_marks_on_stays_until_the_next_collection() -> None:
    """Before the sweep took it, and the reader had to find it elsewhere."""

    async def story(lab: Lab) -> None:
        await lab.grow(3)
        blocking = ReadingAfterMarks()
        node = await lab.add(blocking=blocking)
        root = (await put_bytes(lab.nodes[0], CONTENT, replicas=1)).cid
        await fetch_cached(node, root)
        with ExitStack() as reading:
            guard = node.collector.guards.reading(root)
            blocking.begin = partial(reading.enter_context, guard)
            await node.collector.collect(cache=True)
            assert blocking.begin is None
            assert len(list(local_blocks(node.ports.store, root, Leaves.READ))) == 4
        await node.collector.collect()
        assert not node.ports.store.has(root)

    tell(story)


def test_what_a_killed_or_failed_put_left_is_collected_by_itself() -> None:
    """Before it stayed for ever, as "unclaimed"."""

    async def story(lab: Lab) -> None:
        store = MemoryBlockStore(10**9)
        with store.batch() as batch:
            batch.put(Cid.of(b"left by a killed put"), b"left by a killed put")
            batch.commit()
        ledger = MemoryKeyValue()  # of a node that was started before
        LedgerStanding(ledger).begin(known=True)
        node = await lab.add(store=store, ledger=ledger)
        await asyncio.sleep(SOON_S)
        assert store.count() == 0
        assert node.collector.garbage_bytes == 0

    tell(story)


def test_what_expired_claims_held_is_collected() -> None:
    """Before they stayed charged, and their blocks here, for ever."""

    async def story(lab: Lab) -> None:
        await lab.grow(2)
        node = lab.nodes[0]
        result = await put_bytes(node, CONTENT, replicas=2)
        now_unix_s = int(node.identity.now_unix_s())
        policy = policy_of(node, result.cid, sequence=2**50, replicas=2, expires=now_unix_s + 3600)
        holder = lab.nodes[1]
        assert holder.ledger.claims.update(policy)
        await asyncio.sleep(2 * COLLECT_INTERVAL_S)
        assert holder.ledger.claims.holdings(0).others_bytes > 0, "a clock may be wrong by a day"
        await asyncio.sleep(CLAIM_GRACE_S + COLLECT_INTERVAL_S)
        assert holder.ledger.claims.holdings(0).others_bytes == 0
        assert holder.ports.store.count() == 0
        assert node.ports.store.count() > 0

    tell(story)


def test_what_is_cached_is_had_again_without_anybody_and_goes_before_anybody_is_refused() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        node = await lab.add(small(8 * MIB, owner_quota_bytes=8 * MIB))
        old, new = [
            await put_bytes(lab.nodes[0], bytes((n,)) * 2_000_000, replicas=1) for n in (1, 2)
        ]
        for result in (old, new):
            await fetch_cached(node, result.cid)
            await asyncio.sleep(100)
        [reason] = (await why(node, old.cid)).reasons
        assert (reason.kind, reason.root) == ("cache", str(old.cid))
        assert node.public_key not in await providers_seen(
            lab.nodes[2], units_of(lab.nodes[0], old)[0]
        )
        await asyncio.sleep(2 * COLLECT_INTERVAL_S)
        sent_bytes = sum(each.blocks.sent_bytes for each in lab.nodes)
        assert await get_bytes(node, new.cid) == b"\2" * 2_000_000
        assert sum(each.blocks.sent_bytes for each in lab.nodes) == sent_bytes
        room = await node.disk.reserve(5_000_000)
        with pytest.raises(NotHere):
            await why(node, old.cid)
        assert (await why(node, new.cid)).reasons, "the oldest use went first, and was enough"
        with pytest.raises(NoRoom):
            await node.disk.reserve(9 * MIB)
        assert (await why(node, new.cid)).reasons, "all of the cache would not have been enough"
        room.release()
        own = await put_bytes(node, lab.rng.randbytes(7_000_000), replicas=1)
        assert read_whole(node.ports.store, units_of(node, own)[0])[1] == 7_000_000

    tell(story)


def test_of_what_is_cached_only_what_nothing_else_needs_counts_as_room() -> None:
    """It was counted whole, and strangers were admitted on room that never came."""

    async def story(lab: Lab) -> None:
        await lab.grow(4)
        start, ends = CONTENT[: 2 * MIB], (b"one end", b"another end")
        roots = [(await put_bytes(lab.nodes[0], start + end)).cid for end in ends]
        node = await lab.add(small(64 * MIB))
        for root in roots:
            await fetch_cached(node, root)
            await asyncio.sleep(10)
        cache = node.ledger.cache
        assert 2 * MIB < cache.size_bytes() < 3 * MIB, "the second brought its end only"
        await node.collector.collect()
        first, second = (cache.get(root) for root in roots)
        assert first
        assert second
        assert first.size_bytes < 1000, "what goes first gives back its end, and its top"
        assert second.size_bytes > 2 * MIB, "what both need goes with the last"
        await pin(node, roots[0])
        await node.collector.collect()
        assert cache.size_bytes() < 1000
        used_bytes = node.disk.store.used_bytes
        await node.collector.collect(cache=True)
        assert used_bytes - node.disk.store.used_bytes < 10_000

    tell(story)


def test_what_a_refused_pin_did_not_leave_is_not_counted_as_cached() -> None:
    """Each try counted what it had fetched, although nothing of it stayed."""

    async def story(lab: Lab) -> None:
        await lab.grow(2)
        node = await lab.add(small(4 * MIB))
        result = await put_bytes(lab.nodes[0], lab.rng.randbytes(8_000_000), replicas=1)
        for _ in range(2):
            with pytest.raises(NoRoom):
                await pin(node, result.cid)
            cached_bytes = node.ledger.cache.size_bytes()
            assert cached_bytes <= node.ports.store.used_bytes
            assert cached_bytes > 0 or node.ports.store.count() == 0

    tell(story)


def test_below_a_damaged_block_of_what_is_kept_nothing_is_garbage() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        store = FaultyBlockStore(MemoryBlockStore(10**9))
        node = await lab.add(store=store)
        result = await put_bytes(node, CONTENT, replicas=1)
        store.rot(result.cid)
        before = store.count()
        found = await node.collector.collect()
        assert [each.root for each in found.doubts] == [result.cid]
        assert store.count() == before
        assert any("no room comes back" in text for text in node.warnings.texts)
        await put_bytes(node, CONTENT, replicas=1)  # which heals it
        assert not any("no room comes back" in text for text in node.warnings.texts)
        assert (await node.collector.collect()).doubts == ()

    tell(story)


def test_a_removal_that_a_crash_interrupts_goes_on_at_the_next_start() -> None:
    async def story(lab: Lab) -> None:
        store, ledger = MemoryBlockStore(10**9), MemoryKeyValue()
        node = await lab.add(store=store, ledger=ledger)
        result = await put_bytes(node, CONTENT, replicas=1)
        [claim] = node.removing().ending.claims(result.cid)
        node.ledger.removals.begin(result.cid)
        node.ledger.claims.end(claim)
        lab.crash(node)
        again = await lab.again(node, seeds=[])
        assert again.ledger.puts.list() == []
        assert again.ledger.pins.list() == []
        assert again.ledger.removals.begun() == []
        await asyncio.sleep(SOON_S)
        assert store.count() == 0

    tell(story)


def test_a_pin_of_what_is_being_collected_is_whole() -> None:
    """What it finds here is garbage by the marks of the collection."""

    async def story(lab: Lab) -> None:
        await lab.grow(3)
        node = await lab.add(blocking=UnevenBlocking())
        for trial in range(15):
            content = b"%d" % trial + CONTENT
            result = await put_bytes(lab.nodes[0], content, replicas=1)
            await fetch_cached(node, result.cid)
            await asyncio.sleep(1)
            collecting = asyncio.ensure_future(node.collector.collect(cache=True))
            await asyncio.sleep(lab.rng.uniform(0, 3))
            await pin(node, result.cid)
            await collecting
            assert sum(
                read_whole(node.ports.store, unit)[1] for unit in units_of(node, result)
            ) == len(content)

    tell(story)


def test_names_of_pins() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        node = lab.nodes[1]
        first, second = [await put_bytes(lab.nodes[0], text, replicas=1) for text in (b"1", b"2")]
        async with node.fetch_session() as session:
            pinning = node.pinning()
            await pinning.check_name(first.cid, "film")
            await pinning.add(session, first.cid, "film", lambda progress: None)
            with pytest.raises(UsageError, match="is the name of another pin"):
                await pinning.check_name(second.cid, "film")
            again = await pinning.add(session, first.cid, "", lambda progress: None)
            assert again.name == "film"
        assert (await pinning.remove(first.cid)).name == "film"
        with pytest.raises(NotHere):
            await pinning.remove(first.cid)
        await asyncio.sleep(SOON_S)
        assert node.ports.store.count() == 0, "before, it stayed here for ever"

    tell(story)


def test_a_strangers_unit_that_nobody_has_any_more_is_given_up_and_room_comes_back() -> None:
    """Before, one block that was gone kept all garbage for as long as the claim lasted."""

    async def story(lab: Lab) -> None:
        await lab.grow(3)
        store = FaultyBlockStore(MemoryBlockStore(10**9))
        node = await lab.add(store=store)
        others = [each for each in lab.nodes if each is not node]
        strange = await put_bytes(others[0], CONTENT, replicas=4)
        own = await put_bytes(node, CONTENT[::-1], replicas=1)
        [unit] = units_of(others[0], strange)
        store.rot(strange.cid)
        store.rot(own.cid)
        for other in others:  # at the same time: nobody has it
            other.ledger.claims.forget(unit.name)
            other.ports.store.delete([strange.cid])
        await asyncio.sleep(SOON_S + COLLECT_INTERVAL_S)
        assert {each.root for each in (await node.collector.collect()).doubts} == {
            strange.cid,
            own.cid,
        }
        await asyncio.sleep(LOST_GIVEN_UP_S - 2 * COLLECT_INTERVAL_S)
        assert list(node.ledger.claims.for_unit(unit.name)), "there is time until then"
        await asyncio.sleep(4 * COLLECT_INTERVAL_S)
        assert not list(node.ledger.claims.for_unit(unit.name))
        assert any("1 unit of others went for good" in text for text in node.warnings.texts)
        assert [each.root for each in (await node.collector.collect()).doubts] == [own.cid]
        await put_bytes(node, CONTENT[::-1], replicas=1)  # heals what is our own
        before = store.count()
        await asyncio.sleep(SOON_S)
        assert store.count() < before
        assert (await node.collector.collect()).doubts == ()

    tell(story)


def test_what_others_still_have_is_fetched_anew_and_not_given_up() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        node = await lab.add()
        strange = await put_bytes(lab.nodes[0], CONTENT, replicas=3)
        [unit] = units_of(lab.nodes[0], strange)
        node.ports.store.delete([strange.cid])
        await asyncio.sleep(SOON_S + 2 * COLLECT_INTERVAL_S)
        assert list(node.ledger.claims.for_unit(unit.name))
        assert (await node.collector.collect()).doubts == ()

    tell(story)


@pytest.mark.parametrize("room", [True, False])
def test_a_get_that_pins_fetches_once_and_says_what_is_written(tmp_path: Path, room: bool) -> None:
    """What it had written it fetched anew to pin it; without room for that its error told of no
    file."""

    async def story(lab: Lab) -> None:
        await lab.grow(2)
        node = await lab.add(small(20 * MIB if room else 2 * MIB))
        result = await put_bytes(lab.nodes[0], CONTENT, replicas=1)
        before_bytes = sum(each.blocks.sent_bytes for each in lab.nodes)
        directory = os.open(tmp_path, os.O_RDONLY)
        asked = Get(target=str(result.cid), name="copy", pin=True)
        work = perform(asked, OperationRun(node, [directory], unwatched, None))
        try:
            if room:
                got = await work
                assert not got.cached, "it is pinned"
                assert [each.cid for each in node.ledger.pins.list()] == [result.cid]
                assert node.ledger.cache.size_bytes() == 0
                sent_bytes = sum(each.blocks.sent_bytes for each in lab.nodes) - before_bytes
                assert sent_bytes < 1.1 * len(CONTENT)
            else:
                with pytest.raises(NoRoom, match="copy is written, but not pinned: ") as refused:
                    await work
                assert f"then `dhtstore pin add {result.cid}`" in refused.value.hint
                assert not node.ledger.pins.list()
        finally:
            os.close(directory)
        assert (tmp_path / "copy").read_bytes() == CONTENT

    tell(story)
