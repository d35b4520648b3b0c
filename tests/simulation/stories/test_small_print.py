"""What users hit: clocks that differ, a disk restored from a backup, a node with another key on the
same disk, less room than is held."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from dhtstore.errors import QuorumNotReached
from dhtstore.model.cid import Cid
from dhtstore.model.contact import subnet
from dhtstore.model.identity import dht_key, format_node
from dhtstore.node.control import OperationRun, perform
from dhtstore.node.node import Node
from dhtstore.node.ports import NodeSettings
from dhtstore.operations.nodes import DescribeRoot
from dhtstore.operations.operation import unwatched
from dhtstore.params import MIB, POLICY_STALE_S
from dhtstore.replication.health.periods import Periods
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.memory import MemoryKeyValue
from simulations.events.users import get_bytes, put_bytes
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from tests.simulation.harness import CLIENT, STORAGE, Lab, address_of, put_with, small, tell
from tests.simulation.stories.test_policies import changed, removed

CONTENT = random.Random(6).randbytes(300_000)
PERIODS = Periods.within(7200.0)  # what takes a day takes an hour here
NODE = replace(STORAGE, periods=PERIODS)
SKEWS_S = (0.0, -300.0, 300.0)  # so that two of them differ by ten minutes


async def skewed(lab: Lab, count: int, settings: NodeSettings = NODE) -> None:
    for number in range(count):
        await lab.add(settings, clock=SimClock(lab.loop, SKEWS_S[number % len(SKEWS_S)]))


def holders(lab: Lab, root: Cid) -> list[Node]:
    return [n for n in lab.nodes if n.completeness.under(root.raw, n.ports.clock.unix_s())]


async def said(node: Node, root: Cid) -> set[bytes]:
    found = await node.dht.find_providers(dht_key(root.raw), wanted=20, timeout_s=30.0)
    return {each.record.signer for each in found.providers}


def test_clocks_that_differ_by_ten_minutes_keep_nothing_from_working() -> None:
    """Receipts, audits, repair under a grant, a policy that another machine changes, removal."""

    async def story(lab: Lab) -> None:
        await skewed(lab, 6)
        ahead = SimClock(lab.loop, 300.0)
        behind = SimClock(lab.loop, -300.0)
        user = await lab.add(CLIENT, crypto=SimCrypto(b"a", b"alice"), clock=ahead)
        other = await lab.add(CLIENT, crypto=SimCrypto(b"b", b"alice"), clock=behind)
        result = await put_bytes(user, CONTENT)
        root = result.cid
        await asyncio.sleep(30)
        told = await changed(other, root, replicas=3, expires=2**33)
        assert told.policy.sequence == result.receipts[0].policy_seq + 1, "newer, by no clock"
        assert len(told.told.told) == 3
        await asyncio.sleep(2 * PERIODS.ping_s)
        there = holders(lab, root)
        assert len({node.ports.clock.unix_s() for node in there}) > 1
        for node in there:
            [row] = [node.ledger.holders.get(unit) for unit in node.ledger.holders.units()]
            assert len([each for each in row.holders if each.proven_unix_s]) == 2
        lab.crash(there[0])
        await asyncio.sleep(PERIODS.grace_max_s + 2 * PERIODS.ping_s)
        assert len(holders(lab, root)) == 4, "one is dead"
        told = await changed(other, root, replicas=2)
        assert {key for key, _ in told.told.unreached.items()} <= {there[0].public_key}
        alive = [node for node in holders(lab, root) if node is not there[0]]
        policies = [node.ledger.claims.policy(user.identity.owner, root.raw) for node in alive]
        assert policies == [told.policy] * len(alive)
        await removed(other, root)
        assert holders(lab, root) == [there[0]]

    tell(story)


def test_what_expires_ends_by_each_holders_own_clock() -> None:
    async def story(lab: Lab) -> None:
        await skewed(lab, 3, STORAGE)
        user = await lab.add(CLIENT, clock=SimClock(lab.loop, -300.0))
        root = (await put_bytes(user, CONTENT)).cid
        ends = int(user.ports.clock.unix_s() + 3600)
        await changed(user, root, expires=ends)
        await asyncio.sleep(3600 - 660)
        assert len(holders(lab, root)) == 3
        await asyncio.sleep(1320)
        assert holders(lab, root) == []

    tell(story)


def test_what_expires_is_not_made_again_for_those_whose_clocks_are_ahead() -> None:
    """To them it is over ten minutes earlier: that is no loss."""

    async def story(lab: Lab) -> None:
        for number in range(9):
            await lab.add(NODE, clock=SimClock(lab.loop, 600.0 if number % 3 == 1 else 0.0))
        user = await lab.add(CLIENT)
        roots = [(await put_with(user, CONTENT[n:9000], ttl_s=5400)).cid for n in range(8)]
        await asyncio.sleep(5400 - 10)
        assert any(holders(lab, root) for root in roots)
        assert [each.kind for node in lab.nodes for each in node.ledger.events.last(9)] == []
        assert sum(node.repair.budget.spent_bytes for node in lab.nodes) == 0

    tell(story)


def backup(node: Node) -> MemoryKeyValue:
    """Its ledger as it is now."""
    saved, table = MemoryKeyValue(), node.ports.ledger
    saved.write(table.scan(b"", limit=table.count(b"")))
    return saved


def copied(node: Node) -> MemoryBlockStore:
    """Its blocks as they are now."""
    store = MemoryBlockStore(STORAGE.capacity_bytes)
    with store.batch() as batch:
        for cid in node.ports.store.cids():
            batch.put(cid, node.ports.store.get(cid))
        batch.commit()
    return store


def test_a_holder_restored_from_a_backup_asks_what_counts_before_it_says_anything() -> None:
    """In the backup it holds what was removed since, and two copies are wanted where there are to
    be three by now."""

    async def story(lab: Lab) -> None:
        for _ in range(7):
            await lab.add(NODE)
        user = await lab.add(CLIENT)
        gone = (await put_with(user, CONTENT, replicas=3)).cid
        kept = (await put_with(user, CONTENT[1:], replicas=3)).cid
        await asyncio.sleep(120)
        node = next(n for n in holders(lab, gone) if n in holders(lab, kept))
        ledger, store = backup(node), copied(node)
        await removed(user, gone)
        told = await changed(user, kept, replicas=4)
        assert holders(lab, gone) == []
        await asyncio.sleep(POLICY_STALE_S)
        lab.crash(node)
        await node.stop()
        lab.nodes.remove(node)
        await asyncio.sleep(600)
        back = await lab.again(node, ledger=ledger, store=store)
        assert back in holders(lab, gone), "as its disk says"
        await back.joined.wait()
        assert back not in holders(lab, gone)
        assert back.ledger.claims.policy(user.identity.owner, kept.raw) == told.policy
        await asyncio.sleep(600)
        assert back.public_key not in await said(lab.nodes[0], gone)
        assert back.public_key in await said(lab.nodes[0], kept), "though it signed later records"

    tell(story)


def test_one_whose_backup_lacks_blocks_says_nothing_of_what_it_has_not() -> None:
    """The ledger is newer than the blocks beside it: it fetches them from the others."""

    async def story(lab: Lab) -> None:
        for _ in range(5):
            await lab.add(NODE)
        user = await lab.add(CLIENT)
        root = (await put_with(user, CONTENT, replicas=3)).cid
        node = holders(lab, root)[0]
        lab.crash(node)
        await node.stop()
        lab.nodes.remove(node)
        back = await lab.again(node, store=MemoryBlockStore(STORAGE.capacity_bytes))
        await back.joined.wait()
        await asyncio.sleep(600)
        assert not await back.completeness.lack(back.completeness.under(root.raw, 0.0)[0])
        assert back.public_key in await said(lab.nodes[0], root)

    tell(story)


def test_a_node_with_another_key_on_the_same_disk_says_at_once_what_it_holds() -> None:
    """At the same address, shortly after it has announced all of it under the key of before."""

    async def story(lab: Lab) -> None:
        for _ in range(6):
            await lab.add(STORAGE)
        user = await lab.add(CLIENT)
        root = (await put_with(user, CONTENT, replicas=3)).cid
        node = holders(lab, root)[0]
        await asyncio.sleep(3 * 3600)  # all of it was announced, and that written down
        await node.stop()
        lab.nodes.remove(node)
        crypto = SimCrypto(b"another key", b"its owner")
        back = await lab.again(
            node,
            crypto=crypto,
            endpoint=lab.network.endpoint(address_of(node)),
            streams=node.ports.streams,
        )
        await asyncio.sleep(600)
        assert back.public_key in await said(lab.nodes[0], root)
        assert await get_bytes(user, root) == CONTENT

    tell(story)


def test_the_copy_of_who_put_it_counts_under_another_key_too() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        putter = await lab.add(crypto=SimCrypto(b"a key", b"alice"))
        root = (await put_with(putter, CONTENT, replicas=3)).cid
        await asyncio.sleep(60)
        lab.crash(putter)
        await putter.stop()
        lab.nodes.remove(putter)
        back = await lab.again(putter, crypto=SimCrypto(b"another key", b"alice"))
        await asyncio.sleep(60)
        run = OperationRun(back, [], unwatched, None)
        status = await perform(DescribeRoot(root=str(root), check=True), run)
        assert status.copies == 3
        assert len(status.units[0].providers) == 3, "the key of before is silent"
        networks = {each.node: each.network for each in status.units[0].holders}
        assert networks[format_node(back.node_id)] == subnet(address_of(back))

    tell(story)


def test_one_that_starts_with_less_room_than_it_holds_keeps_it_and_takes_nothing() -> None:
    async def story(lab: Lab) -> None:
        node = await lab.add(small(20 * MIB))
        user = await lab.add(CLIENT)
        root = (await put_with(user, CONTENT * 4, replicas=1)).cid
        node.ports.store.set_capacity(2 * MIB)
        await node.stop()
        lab.nodes.remove(node)
        back = await lab.again(node)
        assert holders(lab, root) == [back]
        with pytest.raises(QuorumNotReached) as refused:
            await put_with(user, CONTENT[1:] * 5, replicas=1)
        assert "had no room for it" in str(refused.value)
        assert "each holds 1.5 MB of it whole" in refused.value.hint
        assert await get_bytes(user, root) == CONTENT * 4

    tell(story)
