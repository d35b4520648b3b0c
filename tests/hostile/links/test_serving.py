"""What a node shows of its store to whoever asks, and what it believes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from dhtstore.errors import BlockDamaged, HomeUnusable
from dhtstore.model.cid import Cid
from dhtstore.model.identity import node_id
from dhtstore.model.unit import Unit
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.links.link import Link
from dhtstore.node.node import Node
from dhtstore.node.views.providers import found_providers
from dhtstore.params import (
    UNKNOWN_FRAMES_MAX,
    WRONG_AT_ONCE_PER_ORIGIN,
)
from dhtstore.store.blocks.contract import BlockStore, Lend
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.blocks.write_block import write_block
from dhtstore.store.ledger.health.standing import LedgerStanding
from dhtstore.store.ledger.memory import MemoryKeyValue
from simulations.events.users import put_bytes
from tests.simulation.harness import CLIENT, Lab, address_of, tell
from tests.unit.node.data_plane import collect

BLOCK = b"nobody was told of this"
CID = Cid.of(BLOCK)


def stage(store: BlockStore, block: bytes = BLOCK) -> None:
    with store.batch() as batch:
        batch.put(Cid.of(block), block)
        batch.commit()


CONTENT = b"content" * 1000  # one block


async def asked(stranger: Node, node: Node, cids: Sequence[Cid] = (CID,)) -> dict[int, bytes]:
    """What a node shows of its blocks."""
    link = await stranger.links.to(node.public_key, [address_of(node)], 5.0)
    return (await collect(link, cids))[0]


def test_what_a_client_stages_is_shown_only_to_those_asked_to_hold_it() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        client, (stranger, holder) = await lab.add(CLIENT), lab.nodes[:2]
        async with client.staging.bringing():
            stage(client.ports.store)
            assert await asked(stranger, client) == {}
            assert await asked(holder, client) == {}
            (link,) = [
                each for each in client.links.open_links() if each.public_key == holder.public_key
            ]
            link.granted += 1
            assert await asked(holder, client) == {0: BLOCK}
            assert await asked(stranger, client) == {}
            link.granted -= 1
            assert await asked(holder, client) == {}

    tell(story)


def test_what_a_killed_put_left_is_dropped_at_the_start_and_shown_to_nobody() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        store, ledger = MemoryBlockStore(), MemoryKeyValue()
        stage(store)
        LedgerStanding(ledger).begin(known=True)  # of a node that was started before
        client = await lab.add(CLIENT, store=store, ledger=ledger)
        assert await asked(lab.nodes[0], client) == {}
        assert store.count() == 0

    tell(story)


async def holding(lab: Lab) -> tuple[Node, FaultyBlockStore, Cid]:
    """A node that keeps one file, of which others know."""
    await lab.grow(3)
    store = FaultyBlockStore(MemoryBlockStore(10**9))
    node = await lab.add(store=store)
    result = await put_bytes(node, CONTENT, replicas=1)
    return node, store, result.cid


async def providers_of(node: Node, root: Cid) -> list[str]:
    """Of content that is one unit."""
    found = await found_providers(node.dht, Unit.of((root,), 0))
    return sorted(node_id(each.record.signer).hex() for each in found.providers)


def test_a_block_that_rotted_is_served_to_nobody_and_its_record_withdrawn() -> None:
    async def story(lab: Lab) -> None:
        node, store, root = await holding(lab)
        stranger = lab.nodes[0]
        assert len(await providers_of(node, root)) == 1
        store.rot(root)
        assert await asked(stranger, node, [root]) != {}
        link = await stranger.links.to(node.public_key, [address_of(node)], 5.0)
        link.tell_wrong(root)
        await asyncio.sleep(20)
        assert await asked(stranger, node, [root]) == {}
        assert node.ledger.damage.found() == {root.multihash}
        assert "rotted" in " ".join(node.warnings.texts)
        assert await providers_of(node, root) == []

    tell(story)


def test_a_survey_that_the_disk_interrupts_is_taken_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(lab: Lab) -> None:
        node, store, root = await holding(lab)
        surveyed: list[Unit] = []
        lack = Completeness.lack

        async def failing_first(self: Completeness, unit: Unit) -> str:
            surveyed.append(unit)
            if len(surveyed) == 1:
                raise HomeUnusable("the ledger cannot be read just now")
            return await lack(self, unit)

        monkeypatch.setattr(Completeness, "lack", failing_first)
        store.rot(root)
        await node.rot.found(root)
        await asyncio.sleep(60)
        assert len(surveyed) > 1
        assert not node.failed.done()
        assert await providers_of(node, root) == []

    tell(story)


def test_rotten_blocks_are_remembered_across_a_start_and_served_when_they_are_whole() -> None:
    async def story(lab: Lab) -> None:
        node, store, root = await holding(lab)
        store.rot(root)
        await node.rot.found(root)
        await node.stop()
        lab.nodes.remove(node)
        node = await lab.again(node)
        assert await asked(lab.nodes[0], node, [root]) == {}
        async with node.disk.batch() as batch:
            write_block(store, batch, root, CONTENT)
            batch.commit()
        assert await asked(lab.nodes[0], node, [root]) == {0: CONTENT}

    tell(story)


class Counting(FaultyBlockStore):
    """Counts how often blocks are read and hashed, and finds ``damaged`` ones when it reads."""

    def __init__(self) -> None:
        super().__init__(MemoryBlockStore(10**9))
        self.hashed = 0
        self.damaged: Cid | None = None

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        self.hashed += 1
        return super().get(cid)

    def read(self, cid: Cid, lend: Lend | None = None) -> bytes:
        if cid == self.damaged:
            raise BlockDamaged("cut short")
        return super().read(cid)


async def complain(link: Link, times: int) -> None:
    for _ in range(times):
        for _ in range(UNKNOWN_FRAMES_MAX - 1):
            link.tell_wrong(CID)
        await collect(link, [Cid.of(b"x")])  # so that the link is not ended


def test_false_reports_of_rot_cost_a_few_looks_whoever_makes_them() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        store = Counting()
        node = await lab.add(store=store)
        stage(store)
        link = await lab.nodes[0].links.to(node.public_key, [address_of(node)], 5.0)
        store.hashed = 0
        await complain(link, 50)
        assert store.hashed <= WRONG_AT_ONCE_PER_ORIGIN + 1
        assert await asked(lab.nodes[0], node) == {0: BLOCK}
        assert node.ledger.damage.count() == 0

    tell(story)


def test_reports_without_end_are_a_violation() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        node, other = lab.nodes
        link = await other.links.to(node.public_key, [address_of(node)], 5.0)
        for _ in range(UNKNOWN_FRAMES_MAX + 1):
            link.tell_wrong(CID)
        await asyncio.sleep(1)
        assert not link.alive

    tell(story)


def test_a_record_that_is_found_damaged_while_it_is_served_counts_as_rot() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        store = Counting()
        node = await lab.add(store=store)
        stage(store)
        store.damaged = CID
        assert await asked(lab.nodes[0], node) == {}
        assert node.ledger.damage.found() == {CID.multihash}

    tell(story)
