"""Nodes whose disks fail them go on with what needs no writing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from dhtstore.errors import HomeUnusable, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.model.identity import dht_key, distance
from dhtstore.node.flows.verify import verify
from dhtstore.node.node import Node
from dhtstore.node.views.room import Giving
from dhtstore.node.views.status import node_status
from dhtstore.operations.nodes import NodeStatus
from dhtstore.operations.operation import Progress, unwatched
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.memory import MemoryKeyValue
from simulations.events.users import get_bytes, once, put_bytes
from tests.simulation.harness import CLIENT, Lab, put_with, tell
from tests.simulation.stories.test_repair import NODE, PERIODS, holders

CONTENT = bytes(range(256)) * 9000
DAY_S = 86_400.0


class FailingLedger(MemoryKeyValue):
    """Takes no writes while ``full``, by its ``refusal``; can not even be read while ``broken``."""

    __slots__ = ("broken", "full", "refusal")

    def __init__(self) -> None:
        super().__init__()
        self.full = self.broken = False
        self.refusal: type[NoRoom | HomeUnusable] = NoRoom

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        if self.full:
            raise self.refusal("the disk takes nothing for the ledger")
        super().write(puts, deletes)

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = 64
    ) -> list[tuple[bytes, bytes]]:
        if self.broken:
            raise HomeUnusable("cannot read the ledger: disk I/O error")
        return super().scan(prefix, after=after, limit=limit)

    def close(self) -> None:
        if self.broken:
            raise HomeUnusable("cannot close the ledger: disk I/O error")
        super().close()


async def status_of(node: Node) -> NodeStatus:
    return await node_status(
        node.disk,
        node.ledger,
        node.identity,
        node.dht,
        node.completeness,
        node.warnings,
        damage=node.rot.places,
        giving=Giving("network", node.settings.capacity_bytes, 0),
        uptime_s=0,
        collector=node.collector,
        announcing=node.reprovide.standing.status,
        copies=None,
    )


def test_a_full_disk_ends_no_node_and_keeps_it_from_nothing_but_writing() -> None:
    async def story(lab: Lab) -> None:
        ledger, store = FailingLedger(), FaultyBlockStore(MemoryBlockStore(10**9))
        node = await lab.add(ledger=ledger, store=store)
        await lab.grow(3)
        result = await put_bytes(node, CONTENT, replicas=1)
        ledger.full = True
        store.fill_disk()
        await asyncio.sleep(2 * DAY_S)
        assert not node.failed.done()
        assert await get_bytes(lab.nodes[-1], result.cid) == CONTENT
        with pytest.raises(NoRoom):
            await put_bytes(node, CONTENT + b"more")
        elsewhere = await put_bytes(lab.nodes[-1], CONTENT + b"more")
        assert all(receipt.signer != node.public_key for receipt in elsewhere.receipts)
        told = await status_of(node)
        assert any("known peers cannot be written down" in each for each in told.warnings)
        assert any("no room here for one block more" in each for each in told.warnings)

        ledger.full = False
        store.free_disk()
        assert (await status_of(node)).warnings == [], "who asks is told what is true now"
        await put_bytes(node, CONTENT + b"more")

    tell(story)


def test_a_ledger_that_cannot_be_read_interrupts_announcing_and_ends_nothing() -> None:
    async def story(lab: Lab) -> None:
        ledger = FailingLedger()
        node = await lab.add(ledger=ledger)
        await lab.grow(3)
        result = await put_bytes(node, CONTENT, replicas=1)
        ledger.broken = True
        await asyncio.sleep(2 * DAY_S)
        assert not node.failed.done()
        assert sorted(node.warnings.texts) == [
            "collect is interrupted: cannot read the ledger: disk I/O error",
            "policies is interrupted: cannot read the ledger: disk I/O error",
            "reprovide is interrupted: cannot read the ledger: disk I/O error",
        ]
        ledger.broken = False
        await asyncio.sleep(1000)
        assert node.warnings.texts == []
        assert await get_bytes(lab.nodes[-1], result.cid) == CONTENT

    tell(story)


def test_a_node_that_stops_on_a_broken_disk_closes_all_the_same() -> None:
    async def story(lab: Lab) -> None:
        ledger = FailingLedger()
        node = await lab.add(ledger=ledger)
        other = await lab.add()
        ledger.broken = ledger.full = True
        with pytest.raises(HomeUnusable):
            await node.stop()
        assert len(node.duties) == len(node.supervisor) == 0
        assert node.links.open_links() == []
        lab.nodes.remove(node)
        await other.stop()
        lab.nodes.remove(other)

    tell(story)


@pytest.mark.parametrize(("turn", "refusal"), [(0, NoRoom), (1, NoRoom), (1, HomeUnusable)])
def test_holders_whose_disks_are_full_make_a_missing_copy_all_the_same(
    turn: int, refusal: type[NoRoom | HomeUnusable]
) -> None:
    """They have what is needed for that, and nobody else has: whoever sees it first, and the one
    that waits for its turn where the nearest may send nothing."""

    async def story(lab: Lab) -> None:
        client = await lab.add(replace(CLIENT, periods=PERIODS))
        ledgers: dict[Node, FailingLedger] = {}
        for _ in range(8):
            ledger = FailingLedger()
            ledger.refusal = refusal
            ledgers[await lab.add(NODE, ledger=ledger)] = ledger
        root = (await put_bytes(client, CONTENT[:300_000])).cid
        await asyncio.sleep(4 * PERIODS.holders_look_s)  # they know each other for steady ones
        key = dht_key(root.raw)
        there = sorted(holders(lab, root), key=lambda each: distance(each.node_id, key))
        for node in there[1:]:
            ledgers[node].full = True
        for node in there[1 : 1 + turn]:
            node.repair.budget.of_a_day = int
        lab.crash(there[0])
        await asyncio.sleep(PERIODS.grace_max_s)
        [repairer] = [node for node in there[1:] if node.repair.budget.spent_bytes]
        assert repairer in there[1 + turn :]
        assert len(holders(lab, root)) == 4, "with the lost one, which lies on its disk yet"
        assert any("copies cannot be written down" in each for each in repairer.warnings.texts)
        for node in there[1:]:
            ledgers[node].full = False
        await asyncio.sleep(2 * PERIODS.ping_s)
        assert not any("copies cannot" in each for each in repairer.warnings.texts)
        assert len(repairer.ledger.holders.get((root.raw, False)).holders) == 3

    tell(story)


@pytest.mark.parametrize("refusal", [NoRoom, HomeUnusable])
def test_a_node_leaves_whose_disk_takes_nothing_any_more(
    refusal: type[NoRoom | HomeUnusable],
) -> None:
    """That is what many leave for."""

    async def story(lab: Lab) -> None:
        ledger, store = FailingLedger(), FaultyBlockStore(MemoryBlockStore(10**9))
        ledger.refusal = refusal
        await lab.grow(3)
        leaver = await lab.add(ledger=ledger, store=store)
        root = (await put_bytes(lab.nodes[0], CONTENT[:300_000], replicas=4)).cid
        await lab.grow(3)
        assert leaver in holders(lab, root)
        ledger.full = True
        store.fill_disk()
        [done] = await leaver.leaving.leave(unwatched)
        assert done.made == 1
        assert leaver.leaving.left.done()
        assert len(set(holders(lab, root)) - {leaver}) == 4
        assert any("has left cannot be written down" in text for text in leaver.warnings.texts)

    tell(story)


def test_who_stays_after_all_on_a_full_disk_stays() -> None:
    async def story(lab: Lab) -> None:
        ledger = FailingLedger()
        await lab.grow(2)
        leaver = await lab.add(ledger=ledger)
        await put_bytes(lab.nodes[0], CONTENT[:300_000])
        await leaver.leaving.leave(unwatched)
        assert leaver.leaving.active
        ledger.full = True
        await leaver.leaving.cancel()
        assert not leaver.leaving.active
        assert any("stays cannot be written down" in text for text in leaver.warnings.texts)

    tell(story)


@pytest.mark.parametrize("refusal", [NoRoom, HomeUnusable])
def test_a_disk_that_takes_nothing_is_verified_all_the_same(
    refusal: type[NoRoom | HomeUnusable],
) -> None:
    """All was read, and then an error was all that was told."""

    async def story(lab: Lab) -> None:
        ledger, store = FailingLedger(), FaultyBlockStore(MemoryBlockStore(10**9))
        node = await lab.add(ledger=ledger, store=store)
        root = (await put_with(node, CONTENT, replicas=1, min_acks=1)).cid
        ledger.full, ledger.refusal = True, refusal
        now_unix_s = node.identity.now_unix_s()
        found = await verify(node.completeness, now_unix_s, unwatched)
        assert (found.damaged, found.incomplete) == ([], 0)
        assert found.unwritten == "the disk takes nothing for the ledger"
        store.rot(next(cid for cid in store.cids() if cid != root))
        found = await verify(node.completeness, now_unix_s, unwatched)
        assert len(found.damaged) == 1
        ledger.full = False
        assert node.ledger.damage.count() == 0
        found = await verify(node.completeness, now_unix_s, unwatched)
        assert ([each.name for each in found.places], found.unwritten) == (["b"], "")
        assert node.ledger.damage.count() == 1

    tell(story)


@pytest.mark.parametrize("refusal", [NoRoom, HomeUnusable])
def test_a_client_that_can_write_nothing_down_has_nobody_hold_what_it_puts(
    refusal: type[NoRoom | HomeUnusable],
) -> None:
    """Copies were made that nobody knew of any more, nor could end."""

    async def story(lab: Lab) -> None:
        ledger = FailingLedger()
        client = await lab.add(CLIENT, ledger=ledger)
        await lab.grow(4)
        ledger.full, ledger.refusal = True, refusal
        with pytest.raises(refusal):
            await put_bytes(client, CONTENT)
        assert not any(node.ledger.claims.count_kept(0) for node in lab.nodes)

        ledger.full = False
        await put_bytes(client, CONTENT)
        assert [each.name for each in client.ledger.puts.list()] == ["bytes"]
        assert list(ledger.scan(b"trial")) == []

    tell(story)


def test_a_ledger_that_fills_while_copies_are_made_names_what_they_are_of() -> None:
    async def story(lab: Lab) -> None:
        ledger = FailingLedger()
        client = await lab.add(CLIENT, ledger=ledger)
        await lab.grow(4)

        def fills(progress: Progress) -> None:
            ledger.full = progress.phase == "copying"

        uploader, pieces = client.uploader(), once(CONTENT)
        with pytest.raises(NoRoom, match="copies of bafy") as caught:
            await uploader.put(pieces, name="a", replicas=3, min_acks=None, progress=fills)
        assert "dhtstore rm bafy" in caught.value.hint
        cid = caught.value.hint.split("`")[1].split()[-1]

        ledger.full = False
        assert client.ledger.puts.list() == []
        await asyncio.sleep(60)
        async with client.fetch_session() as session:
            await client.removing_everywhere().remove(session, Cid.parse(cid))
        assert not any(node.ledger.claims.count_kept(0) for node in lab.nodes)

    tell(story)
