"""Bringing a source in: what does not fit is refused before it is read, or lent to those who hold
it; own puts come before offers of others; and what came to nothing leaves nothing."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dhtstore.content.dag.local import local_units
from dhtstore.errors import BlockMissing, NoRoom, NotFound, QuorumNotReached, SourceChanged
from dhtstore.model.identity import DhtKey
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.importing import batch as importing
from dhtstore.node.importing.source import Source
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.params import GIB, KIB, MIB
from dhtstore.replication.promises import Promise
from dhtstore.store.files.sources.file import FileSource
from dhtstore.store.files.sources.tree import TreeSource
from tests.unit.node.copies_world import STORAGE
from tests.unit.node.test_put import CLIENT, Cast, stage, stream

SMALL = 2 * MIB
DATA = random.Random(1).randbytes(5 * MIB + 17)


@contextmanager
def opened(path: Path) -> Iterator[FileSource | TreeSource]:
    if path.is_dir():
        source: FileSource | TreeSource = TreeSource(os.open(path, os.O_RDONLY), path.name)
    else:
        source = FileSource(os.open(path, os.O_RDONLY), path.name)
    try:
        yield source
    finally:
        source.close()


async def put(cast: Cast, source: Source, replicas: int = 2) -> PutOutcome:
    return await cast.uploader.put(
        source, name="it", replicas=replicas, min_acks=None, progress=cast.progress.append
    )


def written(tmp_path: Path, data: bytes = DATA) -> Path:
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("settings", [STORAGE, CLIENT])
def test_a_file_larger_than_the_node_is_held_by_others_and_not_here(
    tmp_path: Path, settings: object
) -> None:
    path = written(tmp_path)

    async def scene(cast: Cast) -> None:
        with opened(path) as source:
            result = await put(cast, source)
        assert (result.copies, result.size_bytes, result.lent) == (2, len(DATA), True)
        mine = cast.peer.key
        assert mine not in {receipt.public_key for receipt in result.receipts}
        assert cast.uploader.disk.store.count() == cast.uploader.disk.store.used_bytes == 0
        assert cast.ledger.pins.list() == []
        [record] = cast.ledger.puts.list()
        assert (record.cid, record.units) == (result.cid, 1)
        for holder in cast.holders:
            assert local_units(holder.disk.store, result.cid)
            assert holder.disk.store.count() == 7  # six leaves and their root
        assert {each.signer for each, _ in cast.directory.provided} == {
            receipt.public_key for receipt in result.receipts
        }
        reading = [each for each in cast.progress if each.phase == "reading"]
        assert {each.total_bytes for each in reading} == {len(DATA)}

    stage(scene, settings, capacity_bytes=SMALL)  # type: ignore[arg-type]


def test_each_unit_of_what_is_lent_is_proved_to_belong_to_it(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(GIB + 5 * MIB)  # one leaf a thousand times, and no room for that either

    async def scene(cast: Cast) -> None:
        cast.directory.near += [cast.directory.known] * 5
        with opened(path) as source:
            result = await put(cast, source)
        [record] = cast.ledger.puts.list()
        assert (result.copies, result.lent, record.units) == (2, True, 3)
        assert len(result.receipts) == 6

    stage(scene, capacity_bytes=MIB // 2)


def test_a_tree_larger_than_the_node_too(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / "tree" / f"{number % 3}").mkdir(parents=True, exist_ok=True)
        name = tmp_path / "tree" / f"{number % 3}" / f"file {number}"
        name.write_bytes(random.Random(number).randbytes(100 * KIB))
    (tmp_path / "tree" / "large").write_bytes(DATA)

    async def scene(cast: Cast) -> None:
        with opened(tmp_path / "tree") as source:
            result = await put(cast, source)
        assert result.copies == 2
        assert cast.uploader.disk.store.count() == 0
        assert cast.holders[0].disk.store.count() == 40 + 3 + 7 + 1
        reading = [each for each in cast.progress if each.phase == "reading"]
        assert {each.total_bytes for each in reading} == {40 * 100 * KIB + len(DATA)}

    stage(scene, capacity_bytes=SMALL)


def test_a_source_that_changes_under_the_copies_is_not_announced(tmp_path: Path) -> None:
    path = written(tmp_path)

    async def scene(cast: Cast) -> None:
        for holder in cast.holders:
            holder.thinks_s = 2.0

        async def meddle() -> None:
            await asyncio.sleep(1)
            path.write_bytes(bytes(len(DATA)))

        meddling = asyncio.create_task(meddle())
        with opened(path) as source, pytest.raises(SourceChanged, match="changed while it was put"):
            await put(cast, source)
        await meddling
        assert cast.directory.provided == []
        assert cast.ledger.puts.list() == []
        assert all(holder.ledger.claims.count_kept(0) == 0 for holder in cast.holders)

    stage(scene, capacity_bytes=SMALL)


def test_nobody_but_who_was_asked_to_hold_it_sees_what_is_lent(tmp_path: Path) -> None:
    path = written(tmp_path)

    async def scene(cast: Cast) -> None:
        with opened(path) as source:
            root = (await put(cast, source, replicas=1)).cid
        for holder in cast.holders:
            holder.works_s = 5.0
        stranger = await cast.peer.world.peer("stranger")
        cast.directory.near.append(cast.directory.known)
        with opened(path) as source:
            putting = asyncio.create_task(put(cast, source, replicas=1))
            await asyncio.sleep(1)
            assert await cast.peer.blocking.run(cast.peer.server.lending.read, root)
            link = await stranger.links.to(cast.peer.key, [cast.peer.address], 5.0)
            async with FetchSession(stranger.disk, FixedHolders([link]), 8 * MIB) as session:
                with pytest.raises(NotFound):
                    await session.units(root)
            await putting
        with pytest.raises(BlockMissing):
            await cast.peer.blocking.run(cast.peer.server.lending.read, root)

    stage(scene, capacity_bytes=SMALL)


def test_without_anybody_else_it_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path)

    async def scene(cast: Cast) -> None:
        cast.directory.known.clear()
        with opened(path) as source, pytest.raises(NoRoom) as refused:
            await put(cast, source)
        assert str(refused.value).startswith("5.2 MB are needed here, and 2.1 MB are left of the")
        assert "no other storage node is known here" in str(refused.value)
        assert [each.phase for each in cast.progress] == ["kept"]
        assert cast.uploader.disk.store.used_bytes == 0

    stage(scene, capacity_bytes=SMALL)


def test_standard_input_that_does_not_fit_is_refused_for_what_it_is() -> None:
    async def scene(cast: Cast) -> None:
        with pytest.raises(NoRoom, match="a stream or an archive is not read again"):
            await put(cast, stream(DATA))
        assert cast.uploader.disk.store.count() == 0
        await asyncio.sleep(0)
        assert cast.uploader.disk.store.used_bytes == 0

    stage(scene, capacity_bytes=SMALL)


def test_what_is_here_already_can_be_put_again_though_it_would_not_fit_twice(
    tmp_path: Path,
) -> None:
    path = written(tmp_path)

    async def scene(cast: Cast) -> None:
        for _ in range(2):
            with opened(path) as source:
                result = await put(cast, source, replicas=1)
            assert [each.public_key for each in result.receipts] == [cast.peer.key]

    stage(scene, capacity_bytes=6 * MIB)


def test_what_repeats_itself_takes_less_than_its_size(tmp_path: Path) -> None:
    path = written(tmp_path, bytes(20 * MIB))

    async def scene(cast: Cast) -> None:
        with opened(path) as source:
            result = await put(cast, source, replicas=1)
        assert [each.public_key for each in result.receipts] == [cast.peer.key]

    stage(scene, capacity_bytes=SMALL)


def test_what_was_written_before_the_room_ended_goes_when_others_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is looked at first it repeats itself, so it might have fitted."""
    monkeypatch.setattr(importing, "COMMIT_GROUP_BYTES", MIB)
    path = written(tmp_path, DATA[: 5 * MIB] + bytes(30 * MIB))

    async def scene(cast: Cast) -> None:
        with opened(path) as source:
            result = await put(cast, source)
        assert (result.copies, result.lent) == (2, True)
        collector = cast.uploader.staging.collector
        assert collector.left_unix_s is not None
        await collector.collect()
        assert cast.uploader.disk.store.count() == cast.uploader.disk.store.used_bytes == 0

    stage(scene, capacity_bytes=4 * MIB)


def test_a_disk_that_takes_no_writes_refuses_what_others_could_hold(tmp_path: Path) -> None:
    path = written(tmp_path)

    async def scene(cast: Cast) -> None:
        cast.uploader.disk.store._quota.closed = "read-only file system"  # type: ignore[attr-defined]
        with opened(path) as source, pytest.raises(NoRoom, match="can only be read"):
            await put(cast, source)

    stage(scene, capacity_bytes=SMALL)


def test_open_offers_of_others_give_way_to_a_put(tmp_path: Path) -> None:
    path = written(tmp_path)

    async def scene(cast: Cast) -> None:
        store, offers = cast.uploader.disk.store, cast.uploader.bringing.offers
        other = cast.peer.world.peers[1]
        link = await cast.peer.links.to(other.key, [other.address], 5.0)
        for number in range(3):
            key = DhtKey(bytes((number,)) * 20)
            asked = Promise(link.public_key, f"{number}", link.public_key, key, MIB, 1)
            offers.open(link, asked, store.reserve(2 * MIB))
        with opened(path) as source:
            result = await put(cast, source, replicas=1)
        assert [each.public_key for each in result.receipts] == [cast.peer.key]
        assert len(offers.promises) == 1, "as many as the put needed"

    stage(scene, capacity_bytes=8 * MIB)


def test_of_a_put_that_came_to_nothing_nothing_stays_but_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its beginning is what another put has stored meanwhile."""
    monkeypatch.setattr(importing, "COMMIT_GROUP_BYTES", MIB)
    path, shared = written(tmp_path), tmp_path / "shared"
    shared.write_bytes(DATA[:MIB])

    async def scene(cast: Cast) -> None:
        store = cast.uploader.disk.store

        async def growing() -> object:
            yield DATA[: 3 * MIB]
            assert store.count() == 3
            with opened(shared) as source:
                await put(cast, source, replicas=1)
            raise ConnectionResetError("the writer went away")

        with pytest.raises(ConnectionResetError):
            await put(cast, growing(), replicas=1)  # type: ignore[arg-type]
        assert cast.uploader.staging.collector.left_unix_s is not None
        await cast.uploader.staging.collector.collect()
        assert store.count() == 1
        with opened(path) as source:
            await put(cast, source, replicas=1)
        assert store.count() == 7

    stage(scene)


def test_a_put_that_has_copies_keeps_what_it_staged(tmp_path: Path) -> None:
    path = written(tmp_path)

    async def scene(cast: Cast) -> None:
        for holder in cast.holders:
            holder.refuses = "full"
        with opened(path) as source, pytest.raises(QuorumNotReached):
            await cast.uploader.put(
                source, name="it", replicas=3, min_acks=2, progress=cast.progress.append
            )
        assert cast.uploader.disk.store.count() == 7

    stage(scene)
