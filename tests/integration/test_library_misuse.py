"""The Python API in the hands of somebody in a hurry: whatever is done, an answer comes, it is an
error of the tree, and nothing is damaged."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import pickle
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import dhtstore
from dhtstore import Client, Progress, sync
from dhtstore.errors import (
    DhtstoreError,
    HomeUnusable,
    InvalidSetting,
    NeedsNode,
    NoRoom,
    NotRunning,
    QuorumNotReached,
    TimedOut,
    UsageError,
)
from tests.integration.test_library import NETWORK

BOTH_WAYS = pytest.mark.parametrize("over_socket", [False, True])
NOBODY_HAS = "bafkreie7q3iidccmpvszul7kudcvvuavuo7u6gzlbobczuk5nqk3b4akba"
ALONE: dict[str, Any] = {"listen": "127.0.0.1:0", "network": NETWORK, "capacity": "20 MB"}


@asynccontextmanager
async def client_of(home: Path, over_socket: bool) -> AsyncIterator[Client]:
    """A client of a node that has 20 MB, in one way or the other."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(dhtstore.open(home, **ALONE))
        if over_socket:
            client = await stack.enter_async_context(dhtstore.connect(home))
        yield client


async def endless() -> AsyncIterator[bytes]:
    for number in itertools.count():
        yield number.to_bytes(4, "big") * 250_000
        await asyncio.sleep(0)


@BOTH_WAYS
async def test_a_put_that_fails_does_not_wait_for_its_source(
    tmp_path: Path, over_socket: bool
) -> None:
    async with client_of(tmp_path, over_socket) as client, asyncio.timeout(30):
        numbers = range(40)
        for source in (endless(), b"".join(bytes([n]) * 1_000_000 for n in numbers)):
            with pytest.raises(NoRoom):
                await client.put(source, replicas=1)
        stalled = asyncio.Event()

        async def stalling() -> AsyncIterator[bytes]:
            yield b"a little"
            await stalled.wait()

        with pytest.raises(TimedOut):
            await client.put(stalling(), replicas=1, timeout_s=0.2)
        assert await client.puts() == []


@BOTH_WAYS
async def test_what_a_progress_callback_raises_ends_the_call(
    tmp_path: Path, over_socket: bool
) -> None:
    def angry(progress: Progress) -> None:
        raise ZeroDivisionError("mine")

    async def awaited(progress: Progress) -> None:
        raise AssertionError("nobody awaits it")

    async with client_of(tmp_path, over_socket) as client, asyncio.timeout(30):
        with pytest.raises(ZeroDivisionError, match="mine"):
            await client.put(endless(), progress=angry)
        for wrong in (awaited, 5):
            with pytest.raises(UsageError, match="plain function"):
                await client.put(b"x", progress=wrong)  # type: ignore[arg-type]
        assert (await client.put(b"x", replicas=1, progress=None)).size == 1


@BOTH_WAYS
async def test_progress_reaches_the_end(tmp_path: Path, over_socket: bool) -> None:
    seen: list[Progress] = []
    async with client_of(tmp_path, over_socket) as client:
        put = await client.put(bytes(9_000_000), replicas=1, progress=seen.append)
        assert [each.done_bytes for each in seen if each.phase == "reading"][-1] == put.size
        seen.clear()
        await client.get(put.cid, tmp_path / "out", progress=seen.append)
        assert seen[-1].done_bytes >= put.size


@BOTH_WAYS
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("put", {"source": b"d", "replicas": 1.0}),
        ("put", {"source": b"d", "replicas": True}),
        ("put", {"source": b"d", "replicas": "2"}),
        ("put", {"source": b"d", "replicas": 0}),
        ("put", {"source": b"d", "replicas": 65}),
        ("put", {"source": b"d", "min_acks": -1}),
        ("put", {"source": b"d", "name": None}),
        ("put", {"source": b"d", "name": ["a"]}),
        ("put", {"source": b"d", "name": "\udcff"}),
        ("put", {"source": b"d", "timeout_s": "1"}),
        ("put", {"source": b"d", "timeout_s": float("nan")}),
        ("put", {"source": b"d", "timeout_s": -1}),
        ("put", {"source": b"d", "timeout_s": True}),
        ("cat", {"cid": None}),
        ("cat", {"cid": b"x"}),
        ("cat", {"cid": Path("x")}),
        ("stat", {"cid": 5}),
        ("pin", {"cid": NOBODY_HAS, "name": None}),
        ("ping", {"node": None}),
    ],
)
async def test_arguments_of_wrong_types_are_told_and_change_nothing(
    tmp_path: Path, over_socket: bool, method: str, arguments: dict[str, Any]
) -> None:
    async with client_of(tmp_path, over_socket) as client:
        with pytest.raises(UsageError):
            await getattr(client, method)(**arguments)
        assert await client.puts() == []
        assert await client.pins() == []
        assert (await client.status()).blocks == 0
        for start, end in (("0", None), (None, 5), (1.5, 2)):
            with pytest.raises(UsageError):
                _ = [piece async for piece in client.read(NOBODY_HAS, start, end)]  # type: ignore[arg-type]


@BOTH_WAYS
async def test_a_client_whose_block_has_ended(tmp_path: Path, over_socket: bool) -> None:
    hanging = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield b"x"
        hanging.set()
        await asyncio.Event().wait()

    async with client_of(tmp_path, over_socket) as client:
        cid = (await client.put(b"data", replicas=1)).cid
        putting = asyncio.ensure_future(client.put(stalling()))
        await hanging.wait()
    with pytest.raises(NotRunning, match="closed"):
        await putting
    for call in (client.stat(cid), client.identity(), client.put(b"y"), client.cat(cid)):
        with pytest.raises(NotRunning, match="closed"):
            await call
    assert "closed" in repr(client)


async def test_a_visitor_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DHTSTORE_HOME", str(tmp_path / "visitor"))
    async with dhtstore.open(tmp_path / "node", **ALONE) as node:
        ticket = (await node.identity()).ticket
        cid = (await node.put(b"data", replicas=1)).cid
        async with dhtstore.open(None, seeds=ticket) as visitor:
            assert await visitor.cat(cid) == b"data"
            calls = [visitor.pin(cid), visitor.pins(), visitor.puts(), visitor.verify()]
            for call in (*calls, visitor.get(cid, tmp_path / "out", pin=True)):
                with pytest.raises(NeedsNode):
                    await call


@pytest.mark.parametrize(
    ("home", "settings", "kind"),
    [
        ("", {}, UsageError),
        ("a\0b", {}, UsageError),
        (b"bytes", {}, UsageError),
        (5, {}, UsageError),
        ("home", {"seeds": [5]}, UsageError),
        ("home", {"seeds": [""]}, UsageError),
        ("home", {"listen": ""}, InvalidSetting),
        ("home", {"network": ""}, InvalidSetting),
        ("home", {"capacity": 10**30}, InvalidSetting),
        ("home", {"owner_quota": 10**30}, InvalidSetting),
        ("home", {"capacity": -1}, InvalidSetting),
        ("home", {"replicas": "many"}, InvalidSetting),
    ],
)
async def test_a_node_that_cannot_be_opened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    home: Any,
    settings: dict[str, Any],
    kind: type[DhtstoreError],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as told:
        async with dhtstore.open(home, **{**ALONE, **settings}):
            pass
    assert "command line" not in str(told.value)
    async with dhtstore.open(tmp_path / "home", **ALONE) as node:  # nothing wrong was kept
        assert (await node.status()).capacity == 20_000_000


async def test_a_file_is_no_home(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(NotRunning, match="no directory"):
        async with dhtstore.connect(file):
            pass
    with pytest.raises(HomeUnusable):
        async with dhtstore.open(file, **ALONE):
            pass


def test_errors_cross_processes() -> None:
    few = QuorumNotReached("few", copies=1, replicas=3, min_acks=2, partial=None)
    few.causes = {"node": "why"}
    again = pickle.loads(pickle.dumps(few))
    assert type(again) is QuorumNotReached
    assert (str(again), vars(again)) == (str(few), vars(few))


def test_threads_that_wait_when_the_block_ends(tmp_path: Path) -> None:
    told: list[BaseException] = []
    slow = threading.Event()

    def stalling() -> Iterator[bytes]:
        yield b"x"
        slow.set()
        time.sleep(0.3)  # the source's own time
        yield b"y"

    def work(client: sync.SyncClient) -> None:
        try:
            client.put(stalling(), replicas=1)
        except DhtstoreError as error:
            told.append(error)

    with sync.open(tmp_path, **ALONE) as client:
        thread = threading.Thread(target=work, args=(client,))
        thread.start()
        assert slow.wait(30)
    thread.join(30)
    assert not thread.is_alive()
    assert [type(error) for error in told] == [NotRunning]
    with pytest.raises(NotRunning, match="closed"):
        client.status()


def test_the_twin_is_documented() -> None:
    for name, method in vars(sync.SyncClient).items():
        if not name.startswith("_"):
            assert method.__doc__ == inspect.getdoc(getattr(Client, name)), name
