"""Getting, reading, listing and describing from given holders, without a Node or a DHT."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dhtstore.content.builders.directory import DirectoryChild, build_directory
from dhtstore.content.builders.importer import UNIXFS_V1_2025
from dhtstore.errors import NoSuchPath, NotFound, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node, node_id
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.flows.get import get
from dhtstore.node.flows.read import read
from dhtstore.node.views.describe import describe, list_directory
from dhtstore.operations.content import DirectoryEntry
from dhtstore.operations.operation import Progress, unwatched
from dhtstore.params import CHUNK_SIZE_BYTES
from tests.unit.node.data_plane import Peer, World, play

CONTENT = random.Random(6).randbytes(2 * CHUNK_SIZE_BYTES + 11)
BLOCKS = 4  # of the file; the directory is one more
Story = Callable[[FetchSession, Cid, Peer], Awaitable[None]]


def hold_directory(peer: Peer) -> Cid:
    """A directory with one file, ``file``, in a peer's store."""
    file = peer.hold(CONTENT)
    entry = DirectoryChild("file", file, peer.store.used_bytes)
    root = build_directory([entry], UNIXFS_V1_2025)
    with peer.store.batch() as batch:
        for block in root.blocks:
            batch.put(block.cid, block.data)
        batch.commit()
    return root.cid


def play_session(story: Story) -> None:
    """A session of one machine that knows one holder, of a directory with one file."""

    async def scene(world: World) -> None:
        getter, holder = await world.peer("getter"), await world.peer("holder")
        root = hold_directory(holder)
        link = await getter.links.to(holder.key, [holder.address], 5.0)
        async with FetchSession(getter.disk, FixedHolders([link])) as session:
            await story(session, root, holder)
        assert getter.store.count() == 0

    play(scene)


async def get_into(
    session: FetchSession, root: Cid, names: list[str], folder: Path, told: list[Progress]
) -> int:
    folder_fd = os.open(folder, os.O_RDONLY)
    try:
        outcome = await get(
            session, root, names, folder_fd, "out", timeout_s=None, progress=told.append
        )
    finally:
        os.close(folder_fd)
    assert outcome.causes == {}
    return outcome.size_bytes


async def listed(session: FetchSession, root: Cid, names: tuple[str, ...]) -> list[DirectoryEntry]:
    found: list[DirectoryEntry] = []

    async def take(rows: list[DirectoryEntry]) -> None:
        found.extend(rows)

    await list_directory(session, root, names, take)
    return found


def test_a_path_is_got_into_a_file_and_its_holder_reported(tmp_path: Path) -> None:
    told: list[Progress] = []

    async def story(session: FetchSession, root: Cid, holder: Peer) -> None:
        size_bytes = await get_into(session, root, ["file"], tmp_path, told)
        assert size_bytes == len(CONTENT)
        assert (tmp_path / "out").read_bytes() == CONTENT
        asked, name = BLOCKS + 1, format_node(node_id(holder.key))
        delivered_bytes = holder.server.sent_bytes
        assert session.connected == [name]
        [share] = session.shares()
        assert (share.node, share.asked, share.delivered, share.lacked) == (name, asked, asked, 0)
        assert (share.delivered_bytes, share.cause) == (delivered_bytes, None)

    play_session(story)
    assert (told[-1].total_bytes, told[-1].holders) == (len(CONTENT), 1)


def test_a_directory_is_got_as_one(tmp_path: Path) -> None:
    async def story(session: FetchSession, root: Cid, holder: Peer) -> None:
        assert await get_into(session, root, [], tmp_path, []) == len(CONTENT)
        assert (tmp_path / "out" / "file").read_bytes() == CONTENT

    play_session(story)


def test_a_range_is_read_in_order() -> None:
    read_bytes = bytearray()

    async def write(piece: bytes | memoryview) -> None:
        read_bytes.extend(piece)

    async def story(session: FetchSession, root: Cid, holder: Peer) -> None:
        start, end = CHUNK_SIZE_BYTES - 5, 2 * CHUNK_SIZE_BYTES + 5
        outcome = await read(session, root, ["file"], write, start=start, end=end)
        assert outcome.size_bytes == end - start
        assert read_bytes == CONTENT[start:end]
        assert outcome.report == session.report()

    play_session(story)


def test_a_directory_is_listed_and_described_with_a_block_each() -> None:
    async def story(session: FetchSession, root: Cid, holder: Peer) -> None:
        [entry] = await listed(session, root, ())
        assert (entry.name, entry.type, entry.size) == ("file", "file", len(CONTENT))
        told = await describe(session, root, ("file",))
        assert (told.cid, told.type, told.size) == (entry.cid, "file", len(CONTENT))
        assert not told.here

    play_session(story)


def test_what_is_not_there_is_told_apart() -> None:
    async def story(session: FetchSession, root: Cid, holder: Peer) -> None:
        with pytest.raises(NoSuchPath):
            await session.resolve(root, ["nothing"])
        with pytest.raises(UsageError):
            await listed(session, root, ("file",))
        with pytest.raises(NotFound, match="any more") as lacking:
            await describe(session, Cid.of(b"held by nobody"), ())
        assert lacking.value.causes == {format_node(node_id(holder.key)): "does not have the block"}

    play_session(story)


def test_without_holders_nobody_provides_it(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        getter = await world.peer("getter")
        folder_fd = os.open(tmp_path, os.O_RDONLY)
        try:
            async with FetchSession(getter.disk, FixedHolders([])) as session:
                with pytest.raises(NotFound):
                    await get(
                        session, Cid.of(b"x"), [], folder_fd, "out", timeout_s=9, progress=unwatched
                    )
                assert session.shares() == []
        finally:
            os.close(folder_fd)
        assert list(tmp_path.iterdir()) == []

    play(scene)
