"""The Python API over real nodes: inside this process, and over the local socket."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest

import dhtstore
from dhtstore import Client, Progress, sync
from dhtstore.api.client import Source
from dhtstore.config import KEYS
from dhtstore.errors import (
    AmbiguousName,
    DhtstoreError,
    HomeInUse,
    InvalidCid,
    NotFound,
    NotHere,
    NotRunning,
    QuorumNotReached,
    TargetExists,
    TargetUnusable,
    TimedOut,
    UnknownNode,
    UnreadableSource,
    UsageError,
)

DATA = bytes(range(256)) * 10_000  # three leaves
NETWORK = "library"


class NothingYet(io.BytesIO):
    """As a file that does not block, when more is still to come."""

    def read(self, count: int | None = -1) -> bytes:
        return b"the first half" if self.tell() == 0 and self.seek(1) else None  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Trio:
    """Three storage nodes of one network in this process."""

    directory: Path
    ticket: str
    clients: tuple[Client, Client, Client]


@pytest.fixture
async def trio(tmp_path: Path) -> AsyncIterator[Trio]:
    async with AsyncExitStack() as stack:
        clients: list[Client] = []
        seeds: list[str] = []
        for name in "abc":
            node = dhtstore.open(
                tmp_path / name,
                seeds=seeds,
                network=NETWORK,
                listen="127.0.0.1:0",
                capacity="1 GB",
            )
            clients.append(await stack.enter_async_context(node))
            seeds = seeds or [(await clients[0].identity()).ticket]
        yield Trio(tmp_path, seeds[0], (clients[0], clients[1], clients[2]))


async def test_a_file_goes_into_three_nodes_and_a_range_comes_back(trio: Trio) -> None:
    source = trio.directory / "source"
    source.write_bytes(DATA)
    seen: list[Progress] = []
    put = await trio.clients[0].put(source, replicas=3, progress=seen.append)
    assert (put.size, put.copies, len(put.receipts)) == (len(DATA), 3, 3)
    assert {progress.phase for progress in seen} == {"reading", "copying"}
    assert await trio.clients[1].cat(put.cid) == DATA
    pieces = [piece async for piece in trio.clients[2].read(put.cid, 1_000_000, 1_500_000)]
    assert b"".join(pieces) == DATA[1_000_000:1_500_000]
    assert [each.name for each in await trio.clients[0].puts()] == ["source"]


@pytest.mark.parametrize("over_socket", [False, True])
async def test_every_method_in_both_ways(trio: Trio, over_socket: bool) -> None:
    tree = trio.directory / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "file").write_bytes(DATA)
    async with AsyncExitStack() as stack:
        client = trio.clients[0]
        if over_socket:
            connected = dhtstore.connect(trio.directory / "a")
            client = await stack.enter_async_context(connected)
        cid = (await client.put(tree, replicas=2, name="named")).cid
        assert [each.name for each in await client.ls(cid)] == ["below"]
        assert [each.name async for each in client.entries(cid)] == ["below"]
        assert (await client.stat(f"{cid}/below/file")).size == len(DATA)
        got = await client.get(f"ipfs://{cid}/below", trio.directory / "copy", pin=False)
        assert got.size == len(DATA)
        assert (trio.directory / "copy" / "file").read_bytes() == DATA
        tar = b"".join([piece async for piece in client.read_tar(f"{cid}/below?filename=x")])
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            assert archive.getnames() == ["x", "x/file"]
        await client.get(f"{cid}/below", trio.directory)
        with pytest.raises(TargetExists):
            await client.get(f"{cid}/below", trio.directory)
        assert (await client.get(f"{cid}/below", trio.directory, force=True)).size == len(DATA)
        assert (await client.get(cid, "/dev/null")).size == len(DATA)
        assert len(await client.providers(cid)) == 2
        assert [each.root for each in await client.receipts(cid)] == [cid, cid]
        assert [(each.name, each.cid) for each in await client.puts()] == [("named", cid)]
        assert (await client.pin(cid, name="kept")).cid == cid
        assert {each.kind for each in await client.pins()} == {"put", "user"}
        assert (await client.unpin(cid)).cid == cid
        assert (await client.verify()).damaged == []
        assert (await client.status()).puts == 1
        assert (await client.root_status(cid)).copies == 2
        peers = await client.peers()
        assert len(peers) == 2
        assert (await client.ping(peers[0].node)).node == peers[0].node
        assert (await client.identity()).network == NETWORK


async def test_bytes_from_anything_that_gives_them(trio: Trio) -> None:
    async def asynchronous() -> AsyncIterator[bytes]:
        yield DATA[:1000]
        yield DATA[1000:]

    client = trio.clients[0]
    sources: list[Source] = [
        DATA,
        bytearray(DATA),
        io.BytesIO(DATA),
        iter([DATA[:9], DATA[9:]]),
        asynchronous(),
    ]
    cids = {(await client.put(source, replicas=1)).cid for source in sources}
    assert len(cids) == 1
    assert await client.cat(cids.pop()) == DATA
    empty = (await client.put(b"", replicas=1)).cid
    assert await client.cat(empty) == b""


@pytest.mark.parametrize("over_socket", [False, True])
async def test_a_source_that_fails_is_not_taken_for_the_whole(
    trio: Trio, over_socket: bool
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield DATA
        raise NotRunning("of another node that this one reads from")

    async with AsyncExitStack() as stack:
        client = trio.clients[0]
        if over_socket:
            client = await stack.enter_async_context(dhtstore.connect(trio.directory / "a"))
        with pytest.raises(NotRunning, match="of another node"):
            await client.put(failing(), replicas=1)
        with pytest.raises(UnreadableSource, match="not bytes but int"):
            await client.put([1, 2], replicas=1)  # type: ignore[arg-type]
        with pytest.raises(UnreadableSource, match="not bytes but NoneType"):
            await client.put(NothingYet(), replicas=1)
        with pytest.raises(UnreadableSource, match="from this: int"):
            await client.put(7, replicas=1)  # type: ignore[arg-type]
        assert await client.puts() == []


@pytest.mark.parametrize("over_socket", [False, True])
async def test_errors_are_those_of_the_tree(trio: Trio, over_socket: bool) -> None:
    async with AsyncExitStack() as stack:
        client = trio.clients[0]
        if over_socket:
            client = await stack.enter_async_context(dhtstore.connect(trio.directory / "a"))
        cid = (await client.put(DATA, replicas=1)).cid
        nowhere = "bafkreie7q3iidccmpvszul7kudcvvuavuo7u6gzlbobczuk5nqk3b4akba"
        with pytest.raises(QuorumNotReached) as few:
            await client.put(b"x", replicas=5, min_acks=5)
        assert isinstance(few.value.partial, dhtstore.PutResult)
        with pytest.raises(NotFound):
            await client.cat(nowhere)
        with pytest.raises(NotHere):
            await client.unpin(cid)
        with pytest.raises(UsageError):
            await client.ls(cid)
        with pytest.raises(UsageError):
            await client.stat("no cid")
        with pytest.raises(UsageError):
            await client.pin(f"{cid}/path")
        with pytest.raises(TargetUnusable):
            await client.get(cid, trio.directory / "a" / "lock")
        with pytest.raises(TimedOut):
            await client.cat(nowhere, timeout_s=0)
        with pytest.raises(UnreadableSource):
            await client.put(trio.directory / "missing")
        os.mkfifo(trio.directory / "pipe")
        with pytest.raises(UnreadableSource, match="is a pipe"):
            await client.put(trio.directory / "pipe")


@pytest.mark.parametrize("over_socket", [False, True])
async def test_own_names_and_beginnings_stand_for_what_is_unique(
    trio: Trio, over_socket: bool
) -> None:
    async with AsyncExitStack() as stack:
        client = trio.clients[0]
        if over_socket:
            client = await stack.enter_async_context(dhtstore.connect(trio.directory / "a"))
        one = await client.put(b"one", name="notes", replicas=1)
        pictures = trio.directory / "pictures"
        pictures.mkdir()
        (pictures / "beach").write_bytes(b"sea")
        tree = await client.put(pictures, replicas=1)
        assert await client.cat("notes") == await client.cat(one.cid[:14]) == b"one"
        assert await client.cat("pictures/beach") == b"sea"
        assert (await client.stat("pictures")).cid == tree.cid
        assert {row.name for row in await client.ls("pictures/")} == {"beach"}
        assert await client.receipts("notes") == one.receipts
        assert (await client.root_status("notes")).cid == one.cid
        await client.get("notes", trio.directory / "back")
        assert (trio.directory / "back").read_bytes() == b"one"
        assert (await client.pin("notes", name="pinned")).cid == one.cid
        assert (await client.unpin("pinned")).cid == one.cid
        two = await client.put(b"two", name="notes", replicas=1)
        with pytest.raises(AmbiguousName) as raised:
            await client.cat("notes")
        assert raised.value.causes.keys() == {one.cid, two.cid}
        with pytest.raises(InvalidCid) as unknown:
            await client.stat("picturse")
        assert unknown.value.hint == "did you mean pictures?"


async def test_a_node_is_pinged_by_the_beginning_of_its_id(trio: Trio) -> None:
    other = await trio.clients[1].identity()
    assert (await trio.clients[0].ping(other.node[:12])).node == other.node
    with pytest.raises(UnknownNode):
        await trio.clients[0].ping("0" * 39)


async def test_leaving_a_read_early_leaves_nothing_open(trio: Trio) -> None:
    cid = (await trio.clients[0].put(DATA * 8, replicas=1)).cid
    async with dhtstore.connect(trio.directory / "b") as client:
        async with aclosing(client.read(cid)) as pieces:
            async for piece in pieces:
                assert DATA.startswith(piece[:1000])
                break
        assert await client.cat(cid) == DATA * 8


async def test_a_range_that_cannot_be(trio: Trio) -> None:
    cid = (await trio.clients[0].put(DATA, replicas=1)).cid
    size = len(DATA)
    wrong = ((5, 4), (0, -1), (-5, 2), (7, 7), (size, None), (0, size + 1), (-size - 1, None))
    for start, end in wrong:
        with pytest.raises(UsageError, match="range"):
            _ = [piece async for piece in trio.clients[0].read(cid, start, end)]
    last = [piece async for piece in trio.clients[0].read(cid, -5)]
    assert b"".join(last) == DATA[-5:]


async def test_a_visitor_needs_no_home(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DHTSTORE_HOME", str(trio.directory / "visitor"))
    cid = (await trio.clients[0].put(DATA, replicas=3)).cid
    async with dhtstore.open(None, seeds=[trio.ticket]) as visitor:
        assert await visitor.cat(cid) == DATA
        assert (await visitor.put(b"from a visitor", replicas=2)).copies == 2
    with pytest.raises(UsageError, match="needs seeds"):
        async with dhtstore.open(None):
            pass
    with pytest.raises(UsageError, match="no capacity"):
        async with dhtstore.open(None, seeds=[trio.ticket], capacity="1 GB"):
            pass


async def test_nobody_runs_and_somebody_else_does(trio: Trio) -> None:
    for home in (trio.directory / "missing", trio.directory):
        with pytest.raises(NotRunning):
            async with dhtstore.connect(home):
                pass
    with pytest.raises(HomeInUse):
        async with dhtstore.open(trio.directory / "a"):
            pass


async def test_scripts_and_notebooks_do_without_async(trio: Trio) -> None:
    def script() -> None:  # pytest's own loop goes on meanwhile, as a notebook's does
        with sync.connect(trio.directory / "b") as client:
            put = client.put(iter([DATA]), replicas=2, name="sync")
            assert client.cat(put.cid) == DATA
            assert b"".join(client.read(put.cid, 0, 300)) == DATA[:300]
            for piece in client.read(put.cid):
                assert DATA.startswith(piece)
                break
            assert client.get(put.cid, trio.directory / "sync").size == len(DATA)
            assert [each.name for each in client.puts()] == ["sync"]
            with pytest.raises(NotHere):
                client.unpin(put.cid)
            with pytest.raises(UsageError, match="progress callback"):
                client.put(DATA, progress=lambda _: print(client.peers()))

    await asyncio.to_thread(script)


def test_a_node_of_ones_own_inside_a_running_loop(tmp_path: Path) -> None:
    async def cell() -> bytes:
        with sync.open(
            tmp_path / "own", listen="127.0.0.1:0", capacity="1 GB", network=NETWORK
        ) as node:
            return node.cat(node.put(DATA, replicas=1).cid)

    assert asyncio.run(cell()) == DATA
    assert [thread.name for thread in threading.enumerate() if "dhtstore" in thread.name] == []


def test_the_twin_has_the_same_methods() -> None:
    methods = {name for name in dir(Client) if not name.startswith("_")}
    assert methods == {name for name in dir(sync.SyncClient) if not name.startswith("_")}
    for name in methods | {"connect", "open"}:
        one = inspect.signature(getattr(Client, name, None) or getattr(dhtstore, name))
        twin = inspect.signature(getattr(sync.SyncClient, name, None) or getattr(sync, name))
        assert list(one.parameters) == list(twin.parameters), name
        for parameter in one.parameters:
            assert one.parameters[parameter].default == twin.parameters[parameter].default, name


def test_a_node_of_ones_own_takes_every_setting() -> None:
    assert set(KEYS) | {"home", "seeds"} == set(inspect.signature(dhtstore.open).parameters)


def test_everything_public_is_there_and_explained() -> None:
    for name in dhtstore.__all__:
        assert inspect.getdoc(getattr(dhtstore, name)), name
    for name in dir(Client):
        assert name.startswith("_") or getattr(Client, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dhtstore.nonsense
    assert {*dhtstore.__all__, "open"} <= set(dir(dhtstore))
    names: dict[str, object] = {}
    exec("from dhtstore import *", names)
    assert "Client" in names
    assert "open" not in names  # Python's own stays what it is
    assert issubclass(dhtstore.errors.NotFound, DhtstoreError)


def test_importing_it_loads_next_to_nothing() -> None:
    """Each command starts with this import."""
    code = "import sys, dhtstore; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert not loaded & {"typer", "rich", "matplotlib", "asyncio", "msgspec", "cryptography"}
