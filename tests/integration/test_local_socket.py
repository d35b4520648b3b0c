from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import NoReturn

import pytest

from dhtstore.errors import (
    HomeInUse,
    HomeUnusable,
    NotRunning,
    RemoteProtocolError,
    UsageError,
)
from dhtstore.net.local import async_client
from dhtstore.net.local import server as local_server
from dhtstore.net.local.client import RECEIVE_BYTES, connected, converse, send_request
from dhtstore.net.local.pipes import PipeWriter, read_pipe
from dhtstore.net.local.server import LocalServer, Send
from dhtstore.operations.content import DirectoryEntry, ListDirectory
from dhtstore.operations.conversation import Conversation
from dhtstore.operations.messages import (
    REQUEST_MAX_BYTES,
    decode_request,
    encode_operation,
    encode_result,
    encode_rows,
    operation_of,
)
from dhtstore.operations.operation import unwatched
from dhtstore.tasks import Supervisor
from tests.integration.duties import Duties

HELLO = encode_operation(ListDirectory(target="hello"), None)


def entry(name: str) -> DirectoryEntry:
    return DirectoryEntry(name, "cid", "file", len(name))


async def echo(body: bytes, descriptors: list[int], send: Send) -> None:
    operation = operation_of(decode_request(body))
    assert isinstance(operation, ListDirectory)
    read = [os.pread(descriptor, 100, 0).decode() for descriptor in descriptors]
    send(encode_result([entry(name) for name in (operation.target, *read)]))


def conversation(target: str) -> Conversation[list[DirectoryEntry]]:
    return Conversation(ListDirectory(target=target), None, unwatched)


def ask(path: Path, target: str, descriptors: list[int]) -> list[DirectoryEntry]:
    return converse(path, conversation(target), descriptors)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.sock"


async def test_a_request_with_descriptors_is_answered(path: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("first")
    (tmp_path / "b").write_text("second")
    files = [os.open(tmp_path / name, os.O_RDONLY) for name in "ab"]
    server = LocalServer(path, echo)
    await server.open(Supervisor())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = await asyncio.to_thread(ask, path, "hello", files)
    assert found == [entry("hello"), entry("first"), entry("second")]
    await server.close()
    assert not path.exists()
    for file in files:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.close(file)


async def test_a_program_with_an_event_loop_asks_without_a_thread(path: Path) -> None:
    server = LocalServer(path, echo)
    await server.open(Supervisor())
    found = await async_client.converse(path, conversation("hello"), [])
    assert found == [entry("hello")]
    await server.close()


async def test_what_runs_when_it_closes_is_answered_within_a_time(path: Path) -> None:
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def patient(body: bytes, descriptors: list[int], send: Send) -> None:
        began.set()
        await goes_on.wait()
        await echo(body, descriptors, send)

    server = LocalServer(path, patient)
    await server.open(Supervisor())
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(async_client.converse(path, conversation("hello"), []))
        await began.wait()
        tasks.create_task(server.close(10.0))
        await asyncio.sleep(0)
        goes_on.set()
    assert asked.result() == [entry("hello")]


@pytest.mark.parametrize("answer_s", [0.0, 0.01])
async def test_what_runs_longer_when_it_closes_is_cut_short(path: Path, answer_s: float) -> None:
    began = asyncio.Event()

    async def endless(_body: bytes, _descriptors: list[int], _send: Send) -> None:
        began.set()
        await asyncio.Event().wait()

    server = LocalServer(path, endless)
    await server.open(Supervisor())
    asked = asyncio.create_task(async_client.converse(path, conversation("hello"), []))
    await began.wait()
    await server.close(answer_s)
    with pytest.raises(NotRunning):
        await asked


ENDLESS = [entry("x" * 200) for _ in range(1000)]


async def test_a_reader_of_rows_that_is_slow_holds_the_node_back(path: Path) -> None:
    """What it does not read stays in the socket, and the rest is not made yet."""
    sent = taken = ahead = 0

    async def list_on(body: bytes, descriptors: list[int], send: Send) -> None:
        nonlocal sent
        while True:
            for message in encode_rows(ENDLESS):
                send(message)
                sent += len(ENDLESS)
                await asyncio.sleep(0)
                await send.drain()

    async def slow(rows: list[DirectoryEntry]) -> None:
        nonlocal taken, ahead
        taken += len(rows)
        for _ in range(100):  # turns of the loop that the node could use
            await asyncio.sleep(0)
        ahead = max(ahead, sent - taken)
        if taken > 20 * len(ENDLESS):
            raise UsageError("enough")

    server = LocalServer(path, list_on)
    await server.open(Supervisor())
    with pytest.raises(UsageError, match="enough"):
        await async_client.converse(path, conversation("x"), [], slow)
    assert 0 < ahead * len(next(encode_rows(ENDLESS[:1]))) < 4 * RECEIVE_BYTES
    await server.close()


async def test_a_blocking_reader_gets_rows_as_they_come(path: Path) -> None:
    seen = asyncio.Event()

    async def list_two(body: bytes, descriptors: list[int], send: Send) -> None:
        for message in encode_rows([entry("first")]):
            send(message)
        await seen.wait()  # the second is found once the first was read
        for message in encode_rows([entry("second")]):
            send(message)
        send(encode_result([]))

    loop, rows = asyncio.get_running_loop(), list[str]()

    def take(found: list[DirectoryEntry]) -> None:
        rows.extend(each.name for each in found)
        loop.call_soon_threadsafe(seen.set)

    server = LocalServer(path, list_two)
    await server.open(Supervisor())
    asked = conversation("x")
    assert await asyncio.to_thread(converse, path, asked, [], lambda abort: None, take) == []
    assert rows == ["first", "second"]
    await server.close()


async def test_cancelling_who_asks_cancels_the_work(path: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(body: bytes, descriptors: list[int], send: Send) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    server = LocalServer(path, hang)
    await server.open(Supervisor())
    asking = asyncio.create_task(async_client.converse(path, conversation("x"), []))
    await started.wait()
    asking.cancel()
    await ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await server.close()


async def test_passed_descriptors_are_closed_when_the_command_ends(path: Path) -> None:
    passed: list[int] = []

    async def keep(body: bytes, descriptors: list[int], send: Send) -> None:
        passed.extend(descriptors)
        assert not os.get_inheritable(descriptors[0])
        send(encode_result([]))

    server = LocalServer(path, keep)
    await server.open(Supervisor())
    read_end, write_end = os.pipe()
    await asyncio.to_thread(ask, path, "keep", [write_end])
    await server.close()
    assert os.read(read_end, 1) == b""  # no writer is left, so the server's copy is closed
    os.close(read_end)
    assert len(passed) == 1


async def test_work_is_cancelled_when_the_client_leaves(path: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(body: bytes, descriptors: list[int], send: Send) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    server = LocalServer(path, hang)
    await server.open(Supervisor())
    with connected(path) as client:
        send_request(client, HELLO, [])
        await started.wait()
        assert not ended.is_set()
    await ended.wait()
    await server.close()


async def test_closing_the_server_tells_the_client(path: Path) -> None:
    started = asyncio.Event()

    async def hang(body: bytes, descriptors: list[int], send: Send) -> None:
        started.set()
        await asyncio.Event().wait()

    server = LocalServer(path, hang)
    await server.open(Supervisor())
    asking = asyncio.create_task(asyncio.to_thread(ask, path, "hang", []))
    await started.wait()
    await server.close()
    with pytest.raises(NotRunning, match="stopped while"):
        await asking


def test_nobody_listening(path: Path) -> None:
    with pytest.raises(NotRunning):
        connected(path)


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = LocalServer(path, echo)
    await server.open(Supervisor())
    with pytest.raises(HomeInUse):
        await LocalServer(path, echo).open(Supervisor())
    assert await asyncio.to_thread(ask, path, "on", []) == [entry("on")]
    await server.close()


async def test_a_socket_that_breaks_ends_the_duty_that_accepts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(listener: socket.socket) -> NoReturn:
        raise OSError("not a socket any more")

    monkeypatch.setattr(local_server, "next_connection", broken)
    server, duties = LocalServer(path, echo), Duties()
    await server.open(duties)
    name, error = await duties.ended.get()
    assert (name, str(error)) == ("accept-commands", "not a socket any more")
    await server.close()


async def test_a_bug_in_a_command_is_told_and_costs_only_its_connection(path: Path) -> None:
    problems: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(repr(context["exception"])))

    async def broken(body: bytes, descriptors: list[int], send: Send) -> None:
        if operation_of(decode_request(body)) == ListDirectory(target="break"):
            raise KeyError("a bug")
        await echo(body, descriptors, send)

    server, duties = LocalServer(path, broken), Duties()
    await server.open(duties)
    with pytest.raises(NotRunning, match="stopped while"):
        await asyncio.to_thread(ask, path, "break", [])
    assert await asyncio.to_thread(ask, path, "on", []) == [entry("on")]
    assert problems == ["KeyError('a bug')"]
    await server.close()
    assert duties.ended.empty()
    assert len(duties) == 0


async def test_a_path_that_cannot_be_bound(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable):
        await LocalServer(tmp_path / "missing" / "node.sock", echo).open(Supervisor())


@pytest.mark.parametrize(
    "message",
    [
        (REQUEST_MAX_BYTES + 1).to_bytes(4, "big") + b"x",
        b"\x00\x00\x00\x02\xff\xff",
        b"\x00\x00\x00\x05ab",
    ],
)
async def test_nonsense_costs_only_its_connection(path: Path, message: bytes) -> None:
    server = LocalServer(path, echo)
    await server.open(Supervisor())

    def talk_nonsense() -> bytes:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(path))
            raw.sendall(message)
            raw.shutdown(socket.SHUT_WR)
            try:
                return raw.recv(100)
            except ConnectionResetError:
                return b""

    assert await asyncio.to_thread(talk_nonsense) == b""
    assert await asyncio.to_thread(ask, path, "on", []) == [entry("on")]
    await server.close()


async def test_too_many_descriptors_are_refused_and_closed(path: Path) -> None:
    server = LocalServer(path, echo)
    await server.open(Supervisor())
    read_end, write_end = os.pipe()
    ends = [write_end, *(os.dup(write_end) for _ in range(4))]
    with pytest.raises(NotRunning):
        await asyncio.to_thread(ask, path, "echo", ends)
    assert os.read(read_end, 1) == b""
    os.close(read_end)
    await server.close()


async def test_a_pipe_is_read_to_its_end() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"some bytes")
    os.close(write_end)
    assert b"".join([piece async for piece in read_pipe(read_end)]) == b"some bytes"
    os.close(read_end)


def test_malformed_requests() -> None:
    for body in (b"", b"\xc1", encode_result(1)[4:], b"\x80"):
        with pytest.raises(RemoteProtocolError):
            decode_request(body)


async def test_what_is_no_pipe_is_refused(tmp_path: Path) -> None:
    for flags in (os.O_RDONLY | os.O_DIRECTORY, os.O_RDWR | os.O_TMPFILE):
        descriptor = os.open(tmp_path, flags)
        with pytest.raises(UsageError, match="through a pipe"):
            _ = [piece async for piece in read_pipe(descriptor)]
        with pytest.raises(UsageError, match="through a pipe"):
            PipeWriter(descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.close(descriptor)
