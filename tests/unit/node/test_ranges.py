"""Ranges of files: what is fetched for them, and that a part and the whole never mix."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dhtstore.content.dag.file_walk import within
from dhtstore.errors import NoRoom, UsageError
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.flows.get import GetOutcome, get
from dhtstore.node.flows.read import read
from dhtstore.operations.operation import Progress, Watch, unwatched
from dhtstore.params import CHUNK_SIZE_BYTES
from tests.unit.node.data_plane import Peer, World, play
from tests.unit.node.test_resumed_get import hold_tree

CONTENT = random.Random(12).randbytes(40 * CHUNK_SIZE_BYTES + 77)
SIZE = len(CONTENT)
WRONG = [
    (SIZE, None),
    (SIZE - 1, SIZE + 1),
    (SIZE + 5, SIZE + 9),
    (9, 4),
    (4, 4),
    (-SIZE - 1, None),
    (-4, 9),
    (0, -1),
]
Span = tuple[int, int | None]
Scene = Callable[["Getter"], Awaitable[None]]


class Getter:
    def __init__(self, here: Peer, holder: Peer, folder: Path, root: Cid) -> None:
        self.here, self.holder, self.folder, self.root = here, holder, folder, root

    async def get(
        self, span: Span | None, watch: Watch = unwatched, *, force: bool = False
    ) -> GetOutcome:
        with opened(self.folder) as folder_fd:
            async with await self._session() as session:
                return await get(
                    session,
                    self.root,
                    [],
                    folder_fd,
                    "out",
                    timeout_s=None,
                    progress=watch,
                    span=span,
                    force=force,
                )

    async def read(self, start: int, end: int | None) -> bytes:
        pieces: list[bytes] = []

        async def write(piece: bytes | memoryview) -> None:
            pieces.append(bytes(piece))

        async with await self._session() as session:
            await read(session, self.root, [], write, start=start, end=end)
        return b"".join(pieces)

    async def _session(self) -> FetchSession:
        holder = self.holder
        link = await self.here.links.to(holder.key, [holder.address], 5.0)
        return FetchSession(self.here.disk, FixedHolders([link]))


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    folder_fd = os.open(folder, os.O_RDONLY)
    try:
        yield folder_fd
    finally:
        os.close(folder_fd)


def play_ranges(
    folder: Path, scene: Scene, hold: Callable[[Peer], Cid] = lambda holder: holder.hold(CONTENT)
) -> None:
    async def story(world: World) -> None:
        here, holder = await world.peer("here"), await world.peer("holder")
        await scene(Getter(here, holder, folder, hold(holder)))

    play(story)


def stopped(progress: Progress) -> None:
    if progress.done_bytes >= 6 * CHUNK_SIZE_BYTES:
        raise NoRoom("as far as this goes")


@pytest.mark.parametrize("span", [(5, 9), (3 * CHUNK_SIZE_BYTES - 1, 3 * CHUNK_SIZE_BYTES + 1)])
def test_a_range_fetches_the_spine_and_the_leaves_that_overlap(tmp_path: Path, span: Span) -> None:
    start, end = span
    assert end is not None
    leaves = (end - 1) // CHUNK_SIZE_BYTES - start // CHUNK_SIZE_BYTES + 1

    async def scene(getter: Getter) -> None:
        outcome = await getter.get(span)
        [share] = outcome.report.holders
        assert (share.asked, share.delivered) == (1 + leaves, 1 + leaves)
        assert outcome.size_bytes == end - start
        assert await getter.read(start, end) == CONTENT[start:end]

    play_ranges(tmp_path, scene)
    assert (tmp_path / "out").read_bytes() == CONTENT[start:end]
    assert os.listdir(tmp_path) == ["out"]


def test_the_last_bytes_and_all_from_somewhere(tmp_path: Path) -> None:
    async def scene(getter: Getter) -> None:
        assert await getter.read(-5, None) == CONTENT[-5:]
        assert await getter.read(SIZE - 3, None) == CONTENT[-3:]
        assert await getter.read(-SIZE, None) == CONTENT

    play_ranges(tmp_path, scene)


@pytest.mark.parametrize("span", WRONG)
def test_a_wrong_range_is_told_and_writes_nothing(tmp_path: Path, span: Span) -> None:
    async def scene(getter: Getter) -> None:
        with pytest.raises(UsageError, match="range"):
            await getter.get(span)
        with pytest.raises(UsageError, match="range"):
            await getter.read(*span)
        assert os.listdir(tmp_path) == []

    play_ranges(tmp_path, scene)


def test_a_range_of_a_directory_is_told_and_writes_nothing(tmp_path: Path) -> None:
    async def scene(getter: Getter) -> None:
        with pytest.raises(UsageError, match="is a directory, not a file"):
            await getter.get((0, None))
        assert os.listdir(tmp_path) == []

    play_ranges(tmp_path, scene, hold_tree)


def test_a_part_that_was_interrupted_goes_on_and_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    part = (CHUNK_SIZE_BYTES // 2, 20 * CHUNK_SIZE_BYTES)

    async def scene(getter: Getter) -> None:
        server = getter.holder.server
        with pytest.raises(NoRoom):
            await getter.get(part, stopped)
        before_bytes = server.sent_bytes
        await getter.get(part)
        assert server.sent_bytes - before_bytes < 18 * CHUNK_SIZE_BYTES, "some of 20 were there"
        assert (tmp_path / "out").read_bytes() == CONTENT[slice(*part)]

        (tmp_path / "out").unlink()
        with pytest.raises(NoRoom):
            await getter.get(part, stopped)
        await getter.get(None)
        assert (tmp_path / "out").read_bytes() == CONTENT

        (tmp_path / "out").unlink()
        with pytest.raises(NoRoom):
            await getter.get(None, stopped)
        await getter.get((1, SIZE - 1))
        assert (tmp_path / "out").read_bytes() == CONTENT[1:-1]
        await getter.get((2, 5), force=True)
        assert (tmp_path / "out").read_bytes() == CONTENT[2:5]

    play_ranges(tmp_path, scene)
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (-100, None, "no such range: the last 100 bytes of a file of 10 bytes"),
        (10, None, "no such range: bytes 10 to the end of a file of 10 bytes"),
        (5, 2_000, "no such range: bytes 5 to 2,000 of a file of 10 bytes"),
    ],
)
def test_a_range_that_is_not_in_the_file_is_named(start: int, end: int | None, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        within(start, end, 10)
    assert str(refused.value) == told
