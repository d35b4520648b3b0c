"""What a node answers to local requests that no command of ours makes."""

from __future__ import annotations

import os

import pytest

from dhtstore.errors import DhtstoreError, RemoteProtocolError, UsageError
from dhtstore.model.cid import Cid
from dhtstore.net.local.client import LocalClient
from dhtstore.store.home.home import Home
from dhtstore.wire.control import Failure, Progress, Request, decode_answer, encode, error_of
from tests.cli.conftest import Network
from tests.cli.terminal import Daemon

EMPTY = str(Cid.of(b""))


def ask(daemon: Daemon, message: bytes, descriptors: list[int]) -> DhtstoreError:
    """The error that a request results in."""
    with LocalClient(Home(daemon.home).socket_path) as client:
        client.send(message, descriptors)
        answer = decode_answer(client.receive())
        while isinstance(answer, Progress):
            answer = decode_answer(client.receive())
    assert isinstance(answer, Failure)
    return error_of(answer)


def malformed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (encode(Request("bogus")), UsageError),
        (encode(Request("put", kind="file")), UsageError),
        (encode(Request("put", kind="socket")), UsageError),
        (encode(Request("put", kind="file", descriptors=1)), RemoteProtocolError),
        (encode(Request("stat", target="xyz")), UsageError),
        (encode(Request("get", target="xyz")), UsageError),
        (encode(Request("get", target=EMPTY, name="x")), UsageError),
        (encode(Request("cat", target=EMPTY)), UsageError),
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
            message = encode(Request("put", kind=kind, name="pipe", descriptors=1))
            assert isinstance(ask(network.client, message, [read_end]), UsageError)
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_name_that_leaves_the_directory(network: Network) -> None:
    cid = network.storage[0].put(b"escape", "--replicas", "1")
    directory = os.open(network.client.home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in ("../escaped", "a/b", "..", "", "nul\0"):
            message = encode(Request("get", target=cid, name=name, descriptors=1))
            assert isinstance(ask(network.client, message, [directory]), UsageError), name
    finally:
        os.close(directory)
    assert not (network.client.home.parent / "escaped").exists()
