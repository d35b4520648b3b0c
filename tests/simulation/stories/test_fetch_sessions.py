"""What one command learns of holders serves all of its fetches, and the first holder suffices."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dhtstore.content.codec.hamt import name_hash
from dhtstore.content.dag.local import local_units
from dhtstore.model.cid import Cid
from dhtstore.model.identity import DhtKey, dht_key, format_node
from dhtstore.node.flows.read import read
from dhtstore.node.node import Node
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.node.views.describe import list_directory
from dhtstore.operations.content import DirectoryEntry
from dhtstore.operations.explaining.causes import CauseKind
from dhtstore.operations.operation import unwatched
from dhtstore.params import CHUNK_SIZE_BYTES, DIAL_TIMEOUT_S, MIB
from simulations.events.users import put_bytes
from tests.simulation.harness import CLIENT, Lab, tell
from tests.simulation.stories.test_trees import put_path, write

CONTENT = random.Random(8).randbytes(3 * MIB)
NAME_CHARS = 200  # long names make a directory large enough for shards


async def nothing(piece: bytes | memoryview) -> None:
    """For who only wants to have read."""


async def slowly(piece: bytes | memoryview) -> None:
    """For a reader who takes so long that every dial ends before."""
    await asyncio.sleep(DIAL_TIMEOUT_S)


def count_lookups(node: Node, monkeypatch: pytest.MonkeyPatch) -> Counter[DhtKey]:
    """How often the node looks for providers from now on, by key."""
    lookups, find = Counter[DhtKey](), node.dht.find_providers

    async def counted(key: DhtKey, **options: Any) -> object:
        lookups[key] += 1
        return await find(key, **options)

    monkeypatch.setattr(node.dht, "find_providers", counted)
    return lookups


def others(lab: Lab, result: PutOutcome, *, but: Node) -> list[Node]:
    keys = {receipt.signer for receipt in result.receipts}
    return [node for node in lab.nodes if node.public_key in keys and node is not but]


def test_ls_of_a_remote_sharded_directory_looks_its_unit_up_once_and_asks_for_all_shards_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One shard after the other took a round trip of 100 ms each: 20 s and more."""
    names = [f"{number:04}".ljust(NAME_CHARS, "x") for number in range(1200)]
    for name in names:
        write(tmp_path / "wide" / name, b"")
    for name in names[:100]:  # directories are asked for their type
        (tmp_path / "wide" / name).unlink()
        write(tmp_path / "wide" / name / "inside", b"")
    listed: list[DirectoryEntry] = []

    async def take(rows: list[DirectoryEntry]) -> None:
        listed.extend(rows)

    async def story(lab: Lab) -> None:
        await lab.grow(4)
        result = await put_path(lab.nodes[1], tmp_path / "wide")
        reader = await lab.add(CLIENT)
        lookups = count_lookups(reader, monkeypatch)
        start_s = lab.loop.time()
        async with reader.fetch_session() as session:
            await list_directory(session, result.cid, (), take)
            asked = sum(share.asked for share in session.shares())
        took_s = lab.loop.time() - start_s
        assert [entry.name for entry in listed] == sorted(names, key=name_hash)
        assert sum(entry.type == "directory" for entry in listed) == 100
        assert asked > 200, "a directory of shards, and of directories"
        assert took_s < 2.0, "ten round trips, with those to find a holder"
        assert set(lookups.values()) == {1}

    tell(story)


def test_a_read_begins_with_the_first_holder_and_does_not_wait_for_the_others() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(12)
        result = await put_bytes(lab.nodes[2], CONTENT)
        reader = await lab.add(CLIENT)
        for gone in others(lab, result, but=lab.nodes[2]):
            lab.crash(gone)
        start_s = lab.loop.time()
        async with reader.fetch_session() as session:
            await read(session, result.cid, (), nothing, end=1)
            took_s = lab.loop.time() - start_s
        assert took_s < 2.0, "the dead are given up after seconds; a block takes eight round trips"

    tell(story)


def test_the_dead_are_reported_beside_those_that_delivered() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(12)
        result = await put_bytes(lab.nodes[2], CONTENT)
        gone = others(lab, result, but=lab.nodes[2])
        for node in gone:
            lab.crash(node)
        reader = await lab.add(CLIENT)
        async with reader.fetch_session() as session:
            outcome = await read(session, result.cid, (), slowly)
        shares = {share.node: share for share in outcome.report.holders}
        giver = shares[format_node(lab.nodes[2].node_id)]
        blocks = 1 + len(CONTENT) // CHUNK_SIZE_BYTES
        assert (giver.asked, giver.delivered, giver.lacked) == (blocks, blocks, 0)
        assert giver.delivered_bytes > len(CONTENT)
        assert giver.cause is None
        for node in gone:
            share = shares[format_node(node.node_id)]
            assert (share.asked, share.delivered) == (0, 0)
            assert share.cause is not None
            assert share.cause.kind is CauseKind.DIAL_TIMEOUT
        assert set(session.unreached) == {format_node(node.node_id) for node in gone}
        assert session.connected == [giver.node]

    tell(story)


def test_a_pin_after_a_read_in_one_command_asks_for_nobody_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(6)
        result = await put_bytes(lab.nodes[2], CONTENT)
        client = await lab.add(CLIENT)
        lookups = count_lookups(client, monkeypatch)
        async with client.fetch_session() as session:
            await read(session, result.cid, (), nothing)
            await client.pinning().add(session, result.cid, "kept", unwatched)
        assert list(lookups.values()) == [1]
        assert len(local_units(client.disk.store, result.cid)) == 1

    tell(story)


@pytest.mark.parametrize("crowd", [8, 40])
def test_announcements_by_many_that_hold_nothing_do_not_make_a_cid_unfetchable(
    crowd: int,
) -> None:
    """They come before the put: whoever knows a file can tell its CID."""
    leaf = b"known to others" * 1000
    root = Cid.of(leaf)
    key = dht_key(root.raw)

    async def story(lab: Lab) -> None:
        await lab.grow(6)
        for _ in range(crowd):
            node = await lab.add(CLIENT)
            pair = (node.identity.provider_record(key), node.identity.record())
            await node.dht.provide(key, [pair], timeout_s=15)
        assert (await put_bytes(lab.nodes[0], leaf)).cid == root
        reader = await lab.add(CLIENT)
        async with reader.fetch_session() as session:
            await read(session, root, (), nothing)

    tell(story)
