"""The Python API puts directories as people have them, in both ways to a node."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import dhtstore
from dhtstore import Client
from dhtstore.errors import PartlyStored, UnreadableSource, UsageError
from dhtstore.params import WRAPPED_MAX


@pytest.fixture(params=["in this process", "over the socket"])
async def client(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with AsyncExitStack() as stack:
        node = dhtstore.open(
            tmp_path / "node", network="alone", listen="127.0.0.1:0", capacity="1 GB", min_acks=1
        )
        client = await stack.enter_async_context(node)
        if request.param == "over the socket":
            connected = dhtstore.connect(tmp_path / "node")
            client = await stack.enter_async_context(connected)
        yield client


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "d").mkdir(parents=True)
    (root / "d" / "file").write_bytes(b"content")
    (root / "d" / "junk.tmp").write_bytes(b"junk")
    (root / "out").symlink_to("/etc/passwd")
    return root


async def put(client: Client, source: object, **options: object) -> str:
    result = await client.put(source, replicas=1, **options)  # type: ignore[arg-type]
    return result.cid


async def test_what_is_skipped_is_told_and_the_rest_is_stored(client: Client, tree: Path) -> None:
    with pytest.raises(PartlyStored) as partly:
        await put(client, tree)
    result = partly.value.partial
    assert isinstance(result, dhtstore.PutResult)
    assert [each.path for each in result.skipped] == ["out"]
    assert [each.name for each in await client.ls(result.cid)] == ["d"]
    assert await put(client, tree, exclude=["/out"]) == result.cid
    with pytest.raises(UnreadableSource, match="leads out"):
        await put(client, tree, strict=True)


async def test_an_archive_and_its_bytes_are_its_directory(
    client: Client, tree: Path, tmp_path: Path
) -> None:
    (tree / "out").unlink()
    for path in (*tree.rglob("*"), tree):
        os.utime(path, (0, 1_700_000_000))  # tarfile writes no nanoseconds exactly
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        tar.add(tree, arcname=".")
    (tmp_path / "tree.tar.xz").write_bytes(packed.getvalue())
    cid = await put(client, tree, exclude=["*.tmp"], preserve=True)
    archive = {"tar": True, "exclude": ["*.tmp"], "preserve": True}
    assert await put(client, packed.getvalue(), **archive) == cid
    assert await put(client, tmp_path / "tree.tar.xz", **archive) == cid
    with pytest.raises(UsageError, match="no archive"):
        await put(client, tree, tar=True)


async def test_as_many_as_one_message_takes_are_wrapped(client: Client, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    paths = [many / f"{number:03}" for number in range(WRAPPED_MAX + 1)]
    for path in paths[:-1]:
        path.write_text(path.name)
    assert await put(client, paths[:-1], wrap=True) == await put(client, many)
    with pytest.raises(UsageError, match="more than"):
        await put(client, paths, wrap=True)
    with pytest.raises(UsageError, match="only in one directory"):
        await put(client, paths[:2])
    (many / "d").mkdir()
    (many / "d" / "000").write_text("another")
    with pytest.raises(UsageError, match="two of the paths are called 000"):
        await put(client, [paths[0], many / "d" / "000"], wrap=True)


async def test_nothing_stays_open(client: Client, tree: Path) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    await put(client, tree, exclude=["out"])
    before = opened()
    for options in ({"exclude": ["["]}, {"strict": True}, {"tar": True}, {"exclude": ["out"]}):
        try:
            await put(client, tree, **options)
        except UsageError:
            continue
    with pytest.raises(UsageError):
        await put(client, tree / "d" / "file", tar=True)
    assert opened() <= before
