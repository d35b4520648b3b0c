"""What a node answers to local requests that no command of ours makes."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest

from dhtstore.errors import DhtstoreError, RemoteProtocolError, UsageError
from dhtstore.model.cid import Cid
from dhtstore.net.local.client import RECEIVE_BYTES, connected, send_request
from dhtstore.operations.content import DescribeContent, Get, Put
from dhtstore.operations.conversation import Conversation
from dhtstore.operations.messages import encode_operation
from dhtstore.operations.operation import Operation, unwatched
from dhtstore.store.home.home import Home
from tests.cli.conftest import Network
from tests.cli.terminal import Daemon

EMPTY = str(Cid.of(b""))
DESCRIBE = DescribeContent(target=EMPTY)


def ask(daemon: Daemon, message: bytes, descriptors: list[int]) -> DhtstoreError:
    """The error that a request results in."""
    conversation = Conversation(DESCRIBE, None, unwatched)
    with connected(Home(daemon.home).socket_path) as client:
        send_request(client, message, descriptors)
        while not conversation.feed(client.recv(RECEIVE_BYTES)):
            continue
    with pytest.raises(DhtstoreError) as caught:
        _ = conversation.result
    return caught.value


def request(op: str, descriptors: int = 0, **arguments: object) -> bytes:
    asked = {"type": "request", "op": op, "arguments": arguments, "descriptors": descriptors}
    return malformed(msgspec.msgpack.encode(asked))


def encode(operation: Operation[Any]) -> bytes:
    return encode_operation(operation, None)


def malformed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (request("bogus"), UsageError),
        (request("put", kind="file"), UsageError),
        (request("put", kind="socket"), UsageError),
        (encode(Put(kind="file")), RemoteProtocolError),
        (encode(DescribeContent(target="xyz")), UsageError),
        (request("get", target="xyz"), UsageError),
        (request("get", target=EMPTY, name="x"), UsageError),
        (request("cat", target=EMPTY), UsageError),
        (malformed(b"\xc1"), RemoteProtocolError),
        (malformed(b""), RemoteProtocolError),
        (malformed(b"\x82\xa4type\xa7request\xa2op\x05"), RemoteProtocolError),
    ],
)
def test_wrong_requests_get_an_error(
    network: Network, message: bytes, kind: type[DhtstoreError]
) -> None:
    assert isinstance(ask(network.client, message, []), kind)
    assert network.client.process.poll() is None


def test_a_descriptor_of_the_wrong_kind(network: Network) -> None:
    read_end, write_end = os.pipe()
    try:
        for kind in ("file", "directory"):
            message = request("put", 1, kind=kind, name="pipe")
            assert isinstance(ask(network.client, message, [read_end]), UsageError)
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_name_that_leaves_the_directory(network: Network) -> None:
    cid = network.storage[0].put(b"escape", "--replicas", "1")
    directory = os.open(network.client.home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in ("../escaped", "a/b", "..", "", "nul\0"):
            message = encode(Get(target=cid, name=name))
            assert isinstance(ask(network.client, message, [directory]), UsageError), name
    finally:
        os.close(directory)
    assert not (network.client.home.parent / "escaped").exists()
