"""A get that goes on: what an earlier one wrote is hashed again, only what is wrong is fetched."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dhtstore.content.builders.directory import DirectoryChild, build_directory
from dhtstore.content.builders.importer import UNIXFS_V1_2025
from dhtstore.errors import NoRoom, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.flows.get import GetOutcome, Target, get
from dhtstore.operations.operation import KEPT, Progress, Watch, unwatched
from dhtstore.params import CHUNK_SIZE_BYTES
from tests.unit.node.data_plane import Peer, World, play

LARGE = random.Random(6).randbytes(12 * CHUNK_SIZE_BYTES + 11)
SMALL = random.Random(7).randbytes(70_000)  # one raw block, named by the directory itself
FILES = {"large": LARGE, "small": SMALL}
Scene = Callable[[Callable[[Watch], Awaitable[GetOutcome]], Peer], Awaitable[None]]


def hold_tree(peer: Peer) -> Cid:
    small = Cid.of(SMALL)
    large = peer.hold(LARGE)
    children = [
        DirectoryChild("large", large, len(LARGE)),
        DirectoryChild("small", small, len(SMALL)),
    ]
    root = build_directory(children, UNIXFS_V1_2025)
    with peer.store.batch() as batch:
        batch.put(small, SMALL)
        for block in root.blocks:
            batch.put(block.cid, block.data)
        batch.commit()
    return root.cid


def play_gets(folder: Path, hold: Callable[[Peer], Cid], scene: Scene) -> None:
    """Gets of what ``hold`` put at the only holder, into ``folder`` as ``out``."""

    async def story(world: World) -> None:
        getter, holder = await world.peer("getter"), await world.peer("holder")
        root = hold(holder)
        link = await getter.links.to(holder.key, [holder.address], 5.0)

        async def get_it(watch: Watch) -> GetOutcome:
            folder_fd = os.open(folder, os.O_RDONLY)
            try:
                async with FetchSession(getter.disk, FixedHolders([link])) as session:
                    return await get(
                        session, root, [], folder_fd, "out", timeout_s=None, progress=watch
                    )
            finally:
                os.close(folder_fd)

        await scene(get_it, holder)

    play(story)


def stopped_at(size_bytes: int) -> Watch:
    """Ends a get that has come so far."""

    def watch(progress: Progress) -> None:
        if progress.done_bytes >= size_bytes:
            raise NoRoom("as far as this goes")

    return watch


def whole_but_not_named(folder: Path) -> Watch:
    """Makes a get end when all is written: somebody takes its name meanwhile."""

    def watch(progress: Progress) -> None:
        if progress.done_bytes >= len(LARGE):
            (folder / "out").touch()

    return watch


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def hold_file(peer: Peer) -> Cid:
    return peer.hold(LARGE)


@pytest.mark.parametrize("bit", [True, False])
def test_a_file_with_a_changed_bit_costs_one_block(tmp_path: Path, bit: bool) -> None:
    async def scene(get_it: Callable[[Watch], Awaitable[GetOutcome]], holder: Peer) -> None:
        with pytest.raises(TargetUnusable, match="came to be meanwhile"):
            await get_it(whole_but_not_named(tmp_path))
        (tmp_path / "out").unlink()
        before_bytes = holder.server.sent_bytes
        flip(tmp_path / "out.part", 123) if bit else None
        outcome = await get_it(unwatched)
        assert outcome.size_bytes == len(LARGE)
        fetched_bytes = holder.server.sent_bytes - before_bytes
        assert fetched_bytes // CHUNK_SIZE_BYTES == bit

    play_gets(tmp_path, hold_file, scene)
    assert (tmp_path / "out").read_bytes() == LARGE
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("name", ["large", "small"])
def test_a_finished_file_of_a_tree_with_a_changed_bit(tmp_path: Path, name: str) -> None:
    async def scene(get_it: Callable[[Watch], Awaitable[GetOutcome]], holder: Peer) -> None:
        with pytest.raises(TargetUnusable, match="came to be meanwhile"):
            await get_it(whole_but_not_named(tmp_path))
        (tmp_path / "out").unlink()
        before_bytes = holder.server.sent_bytes
        flip(tmp_path / "out.part" / name, 123)
        outcome = await get_it(unwatched)
        assert outcome.size_bytes == len(LARGE) + len(SMALL)
        fetched_bytes = holder.server.sent_bytes - before_bytes
        assert fetched_bytes < 1.2 * min(len(FILES[name]), CHUNK_SIZE_BYTES)

    play_gets(tmp_path, hold_tree, scene)
    for each, data in FILES.items():
        assert (tmp_path / "out" / each).read_bytes() == data


def test_a_get_that_is_interrupted_twice_keeps_what_both_wrote(tmp_path: Path) -> None:
    async def scene(get_it: Callable[[Watch], Awaitable[GetOutcome]], holder: Peer) -> None:
        for at in (3, 6):
            with pytest.raises(NoRoom):
                await get_it(stopped_at(at * CHUNK_SIZE_BYTES))
        before_bytes = holder.server.sent_bytes
        await get_it(unwatched)
        assert holder.server.sent_bytes - before_bytes < len(LARGE) - 3 * CHUNK_SIZE_BYTES

    play_gets(tmp_path, hold_file, scene)
    assert (tmp_path / "out").read_bytes() == LARGE


def test_one_that_is_cut_short_before_it_looks_back_says_what_is_there(tmp_path: Path) -> None:
    """It said that nothing is kept, beside all that an earlier one had left."""

    roots: list[Cid] = []

    def hold(holder: Peer) -> Cid:
        roots.append(hold_file(holder))
        return roots[0]

    async def scene(get_it: Callable[[Watch], Awaitable[GetOutcome]], _: Peer) -> None:
        with pytest.raises(NoRoom):
            await get_it(stopped_at(3 * CHUNK_SIZE_BYTES))

    play_gets(tmp_path, hold, scene)
    folder_fd = os.open(tmp_path, os.O_RDONLY)
    target = Target(folder_fd, "out", roots[0])
    target.close()
    os.close(folder_fd)
    assert target.kept_bytes >= 3 * CHUNK_SIZE_BYTES


@pytest.mark.parametrize("hold", [hold_file, hold_tree])
def test_a_get_that_goes_on_shows_what_was_there_as_done(
    tmp_path: Path, hold: Callable[[Peer], Cid]
) -> None:
    first, second = list[Progress](), list[Progress]()
    stop = len(LARGE) if hold is hold_tree else 6 * CHUNK_SIZE_BYTES

    def stopped(progress: Progress) -> None:
        first.append(progress)
        if progress.phase == "fetching" and progress.done_bytes >= stop:
            raise NoRoom("as far as this goes")

    async def scene(get_it: Callable[[Watch], Awaitable[GetOutcome]], holder: Peer) -> None:
        with pytest.raises(NoRoom):
            await get_it(stopped)
        await get_it(second.append)

    play_gets(tmp_path, hold, scene)
    kept = first[-1]
    assert (kept.phase, kept.total_bytes) == (KEPT, second[-1].total_bytes)
    assert kept.done_bytes > 0
    assert {each.phase for each in second} == {"fetching"}
    resumed = next(each for each in second if each.earlier_bytes)
    assert resumed.earlier_bytes == second[-1].earlier_bytes == kept.done_bytes
    assert resumed.done_bytes >= kept.done_bytes
    assert second[-1].done_bytes == second[-1].total_bytes
    [holder] = second[-1].by_holder
    assert 0 < holder.done_bytes <= second[-1].moved_bytes + CHUNK_SIZE_BYTES


def killed_at(folder: Path, size_bytes: int, copy: Path) -> Watch:
    """Keeps what a get that is killed when it has come so far would leave: what it has written."""

    def watch(progress: Progress) -> None:
        if progress.done_bytes >= size_bytes and not copy.exists():
            shutil.copytree(folder, copy)

    return watch


@pytest.mark.parametrize("hold", [hold_file, hold_tree])
def test_a_get_that_is_killed_fetches_little_again(
    tmp_path: Path, hold: Callable[[Peer], Cid]
) -> None:
    """Of a file in a directory, all of it was; of a file alone, up to 64 MiB."""
    folder, copy = tmp_path / "to", tmp_path / "left"
    folder.mkdir()

    async def scene(get_it: Callable[[Watch], Awaitable[GetOutcome]], holder: Peer) -> None:
        await get_it(killed_at(folder, 10 * CHUNK_SIZE_BYTES, copy))
        before_bytes = holder.server.sent_bytes
        shutil.rmtree(folder)
        copy.rename(folder)
        await get_it(unwatched)
        again_bytes = holder.server.sent_bytes - before_bytes
        assert again_bytes < 7.5 * CHUNK_SIZE_BYTES, "2 or 3 were left, some were on their way"

    play_gets(folder, hold, scene)
    got = folder / "out" / "large" if hold is hold_tree else folder / "out"
    assert got.read_bytes() == LARGE
