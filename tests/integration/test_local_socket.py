from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from dhtstore.errors import HomeInUse, HomeUnusable, NotRunning, RemoteProtocolError
from dhtstore.net.local.client import LocalClient
from dhtstore.net.local.pipes import read_pipe
from dhtstore.net.local.server import LocalServer, Send
from dhtstore.wire.control import REQUEST_MAX_BYTES, Request, Result, decode_request, encode


async def echo(body: bytes, descriptors: list[int], send: Send) -> None:
    request = decode_request(body)
    read = [os.pread(descriptor, 100, 0).decode() for descriptor in descriptors]
    send(encode(Result([request.target, *read])))


def ask(path: Path, message: bytes, descriptors: list[int]) -> bytes:
    with LocalClient(path) as client:
        client.send(message, descriptors)
        return client.receive()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.sock"


async def test_a_request_with_descriptors_is_answered(path: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("first")
    (tmp_path / "b").write_text("second")
    files = [os.open(tmp_path / name, os.O_RDONLY) for name in "ab"]
    server = LocalServer(path, echo)
    await server.open()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    body = await asyncio.to_thread(ask, path, encode(Request("echo", target="hello")), files)
    assert body == encode(Result(["hello", "first", "second"]))[4:]
    await server.close()
    assert not path.exists()
    for file in files:
        os.close(file)


async def test_passed_descriptors_are_closed_when_the_command_ends(path: Path) -> None:
    passed: list[int] = []

    async def keep(body: bytes, descriptors: list[int], send: Send) -> None:
        passed.extend(descriptors)
        assert not os.get_inheritable(descriptors[0])
        send(encode(Result(None)))

    server = LocalServer(path, keep)
    await server.open()
    read_end, write_end = os.pipe()
    await asyncio.to_thread(ask, path, encode(Request("keep")), [write_end])
    os.close(write_end)
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
    await server.open()
    client = LocalClient(path)
    client.send(encode(Request("hang")), [])
    await started.wait()
    with client:
        assert not ended.is_set()
    await ended.wait()
    await server.close()


async def test_closing_the_server_tells_the_client(path: Path) -> None:
    started = asyncio.Event()

    async def hang(body: bytes, descriptors: list[int], send: Send) -> None:
        started.set()
        await asyncio.Event().wait()

    server = LocalServer(path, hang)
    await server.open()
    asking = asyncio.create_task(asyncio.to_thread(ask, path, encode(Request("hang")), []))
    await started.wait()
    await server.close()
    with pytest.raises(NotRunning, match="stopped while"):
        await asking


def test_nobody_listening(path: Path) -> None:
    with pytest.raises(NotRunning):
        LocalClient(path)


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = LocalServer(path, echo)
    await server.open()
    with pytest.raises(HomeInUse):
        await LocalServer(path, echo).open()
    body = await asyncio.to_thread(ask, path, encode(Request("echo", target="on")), [])
    assert body == encode(Result(["on"]))[4:]
    await server.close()


async def test_a_path_that_cannot_be_bound(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable):
        await LocalServer(tmp_path / "missing" / "node.sock", echo).open()


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
    await server.open()

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
    body = await asyncio.to_thread(ask, path, encode(Request("echo", target="on")), [])
    assert body == encode(Result(["on"]))[4:]
    await server.close()


async def test_too_many_descriptors_are_refused_and_closed(path: Path) -> None:
    server = LocalServer(path, echo)
    await server.open()
    read_end, write_end = os.pipe()
    with pytest.raises(NotRunning):
        await asyncio.to_thread(ask, path, encode(Request("echo")), [write_end] * 5)
    os.close(write_end)
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
    for body in (b"", b"\xc1", encode(Result(1))[4:], b"\x80"):
        with pytest.raises(RemoteProtocolError):
            decode_request(body)
