"""An index node that was started again is as good as before, and believes its disk no more than
a stranger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from dhtstore.dht.core.stores.held import name_of
from dhtstore.errors import HomeUnusable
from dhtstore.model.identity import DhtKey, dht_key
from dhtstore.model.signing import attach
from dhtstore.node.node import Node
from dhtstore.params import PROVIDER_TTL_S, RECORDS_SAVE_PAUSE_S
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.shelf.records import RecordRow
from tests.simulation.harness import Lab, tell

KEY, OTHER_KEY = dht_key(b"unit"), dht_key(b"other")
WRITTEN_S = RECORDS_SAVE_PAUSE_S + 10
HOUR_S = 3600


async def provide(holder: Node, key: DhtKey = KEY) -> None:
    records = [(holder.identity.provider_record(key), holder.identity.record())]
    [published] = await holder.dht.provide(key, records, timeout_s=15)
    assert published.holders > 1


def named(node: Node, key: DhtKey = KEY) -> list[bytes]:
    keeper = node.dht.rpc.keeper
    keeper.tick()
    return [record.public_key for record in keeper.providers(key)]


@pytest.mark.parametrize("killed", [True, False])
def test_an_index_node_that_was_started_again_names_whom_it_named_before(killed: bool) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(6)
        holder, index = lab.nodes[1:3]
        await provide(holder)
        if killed:
            await asyncio.sleep(WRITTEN_S)
            lab.crash(index)
        else:
            await index.stop()
        back = await lab.again(index, seeds=[])
        await asyncio.sleep(1)
        assert named(back) == [holder.public_key]
        contact = back.dht.rpc.keeper.contact(holder.node_id)
        assert contact == holder.identity.record()

    tell(story)


def test_what_ended_while_it_was_away_is_gone_from_its_disk_too() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        await provide(lab.nodes[1])
        await asyncio.sleep(WRITTEN_S)
        index = lab.nodes[2]
        lab.crash(index)
        await asyncio.sleep(PROVIDER_TTL_S)
        back = await lab.again(index, seeds=[])
        await asyncio.sleep(1)
        assert named(back) == []
        assert not [name for name in back.ledger.records.page() if name.startswith(b"p")]

    tell(story)


def test_a_restart_does_not_lengthen_the_life_of_a_record_nor_forget_a_withdrawal() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(6)
        holder, other, index = lab.nodes[1:4]
        old = holder.identity.provider_record(KEY), holder.identity.record()
        await provide(holder)
        await provide(other)
        await holder.dht.withdraw(KEY)
        await asyncio.sleep(WRITTEN_S)
        before = {h.key: h.expires_s for h in index.dht.records() if h.withdrawn}
        lab.crash(index)
        await asyncio.sleep(HOUR_S)
        back = await lab.again(index)
        await asyncio.sleep(1)
        await other.dht.provide(KEY, [old], timeout_s=15)
        assert named(back) == [other.public_key]
        after = {h.key: h.expires_s for h in back.dht.records() if h.withdrawn}
        assert after.keys() == before.keys()
        assert after[KEY] == pytest.approx(before[KEY], abs=2)

    tell(story)


def test_rows_that_are_not_what_their_name_says_or_not_signed_are_thrown_away() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        holder, index = lab.nodes[1:3]
        await asyncio.sleep(WRITTEN_S)
        await index.stop()
        right = holder.identity.provider_record(KEY)
        forged = attach(right, bytes(64))
        other = holder.identity.provider_record(OTHER_KEY)
        last = 2**62
        rows = {
            name_of(forged): RecordRow(forged.packed, last, b"", True, last, True),
            name_of(other): RecordRow(right.packed, last, b"", True, last, True),
            b"p": RecordRow(b"", last, b"", False),
            b"": RecordRow(right.packed, 0, b"", False),
        }
        index.ledger.records.write(rows)
        damaged = [b"\xff", msgspec.msgpack.encode([right.packed, -1, b"", 1]), b"\xc1" * 4096]
        for number, raw in enumerate(damaged):
            index.ports.ledger.write([(b"record/pz%d" % number, raw)])
        back = await lab.again(index, seeds=[])
        await asyncio.sleep(1)
        assert named(back) == named(back, OTHER_KEY) == []
        left = back.ledger.records.page()
        assert not {name for name in left if not name.startswith(b"c")}
        assert None not in left.values()

    tell(story)


def test_a_row_that_promises_itself_a_long_life_ends_with_its_record() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        holder, index = lab.nodes[1:3]
        await index.stop()
        right = holder.identity.provider_record(KEY)
        row = RecordRow(right.packed, 2**62, b"", True, 2**62, True)
        index.ledger.records.write({name_of(right): row})
        back = await lab.again(index, seeds=[])
        await asyncio.sleep(1)
        assert named(back) == [holder.public_key]
        await asyncio.sleep(PROVIDER_TTL_S + 20)
        assert named(back) == []

    tell(story)


def test_nothing_is_written_while_nothing_changes() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        await provide(lab.nodes[1])
        await asyncio.sleep(2 * WRITTEN_S)
        written: list[Sequence[bytes]] = []
        for node in lab.nodes:
            node.ledger.records.write = written.append  # type: ignore[method-assign, assignment]
        await asyncio.sleep(6 * HOUR_S)
        assert written == []

    tell(story)


def test_that_records_could_not_be_read_is_told_on_after_others_were_written() -> None:
    async def story(lab: Lab) -> None:
        node = await lab.add(ledger=UnreadRecords())
        await lab.grow(3)
        await provide(lab.nodes[2])
        await asyncio.sleep(2 * WRITTEN_S)
        assert named(node), "it keeps others that came since"
        told = ["records kept for others cannot be read: no such sector"]
        assert node.warnings.texts == told
        await node.warnings.look_again()
        assert node.warnings.texts == told

    tell(story)


class UnreadRecords(MemoryKeyValue):
    """Takes records of others, and does not give them back."""

    __slots__ = ()

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = 64
    ) -> list[tuple[bytes, bytes]]:
        if prefix == b"record/":
            raise HomeUnusable("no such sector")
        return super().scan(prefix, after=after, limit=limit)
