"""Both ends proved, and everyone who tries to pass for another refused."""

from __future__ import annotations

import pytest

from dhtstore.errors import ConnectionLost, RefusedByNetwork
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.net.ports import Stream
from dhtstore.node.links.frame_io import read_prefix, read_rest, write_frame
from dhtstore.node.links.handshake import _signed_bytes
from dhtstore.params import HANDSHAKE_FRAME_MAX_BYTES, HANDSHAKE_TIMEOUT_S, PROTOCOL_VERSION
from dhtstore.tasks import Supervisor
from dhtstore.wire.frames import PREFIX, AnyMessage, Auth, Hello, Refused, Welcome
from tests.unit.node.data_plane import Peer, World, play


async def read(stream: Stream) -> AnyMessage:
    message, _ = await read_rest(stream, await read_prefix(stream))
    return message


async def hello_of(stream: Stream) -> Hello:
    message = await read(stream)
    assert isinstance(message, Hello)
    return message


def proof(by: Peer, server: PublicKey, nonce: bytes, claimed: PublicKey | None = None) -> Auth:
    key = claimed or by.key
    signature = by.crypto.node.sign(_signed_bytes(Network("main"), key, server, nonce))
    return Auth(PROTOCOL_VERSION, "main", key, signature)


def test_both_ends_learn_key_and_contact_record() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        link = await a.links.to(b.key, [b.address], 5.0)
        assert (link.public_key, link.peer_record) == (b.key, b.record())
        (other,) = b.links.open_links()
        assert (other.public_key, other.peer_record) == (a.key, a.record())

    play(scene)


def test_another_network_is_refused_and_both_names_are_told() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        with pytest.raises(RefusedByNetwork, match=r"'other'.*'main'"):
            await a.links.to(b.key, [b.address], 5.0)
        with pytest.raises(RefusedByNetwork, match=r"'main'.*'other'"):
            await b.links.dial_unknown(a.address)
        assert not a.links.open_links()
        assert not b.links.open_links()

    play(scene, names={"b": "other"})


def test_a_dialler_of_another_network_is_told_why() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await a.raw(b)
        nonce = (await hello_of(stream)).nonce
        auth = proof(a, b.key, nonce)
        await write_frame(stream, Auth(auth.version, "other", auth.public_key, auth.signature))
        refused = await read(stream)
        assert isinstance(refused, Refused)
        assert refused.code == "network"

    play(scene)


async def refused_key(world: World, auth: Auth, stream: Stream) -> None:
    await write_frame(stream, auth)
    refused = await read(stream)
    assert isinstance(refused, Refused)
    assert refused.code == "key"


def test_claiming_anothers_key_is_refused() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        stream = await a.raw(b)
        nonce = (await hello_of(stream)).nonce
        await refused_key(world, proof(a, b.key, nonce, claimed=c.key), stream)

    play(scene)


def test_a_nonce_passed_on_proves_nothing() -> None:
    """M takes B's nonce, shows it to A who dials M, and hands A's proof to B."""

    async def scene(world: World) -> None:
        a, b, m = [await world.peer(name) for name in "abm"]
        to_b = await m.raw(b)
        nonce = (await hello_of(to_b)).nonce
        made_for_m = proof(a, m.key, nonce)
        await refused_key(world, made_for_m, to_b)

    play(scene)


def test_a_proof_serves_once() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        first = await a.raw(b)
        used = proof(a, b.key, (await hello_of(first)).nonce)
        await write_frame(first, used)
        assert isinstance(await read(first), Welcome)
        second = await a.raw(b)
        await hello_of(second)
        await refused_key(world, used, second)

    play(scene)


def test_somebody_elses_contact_record_ends_the_handshake() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        stream = await a.raw(b)
        auth = proof(a, b.key, (await hello_of(stream)).nonce)
        record: ContactRecord | None = c.record()
        await write_frame(
            stream, Auth(auth.version, auth.network, auth.public_key, auth.signature, record)
        )
        with pytest.raises(ConnectionLost):
            await read(stream)

    play(scene)


@pytest.mark.parametrize(
    "junk",
    [
        b"\xff" * 64,
        PREFIX.pack(HANDSHAKE_FRAME_MAX_BYTES + 1, 0) + bytes(HANDSHAKE_FRAME_MAX_BYTES + 1),
        PREFIX.pack(10, 0) + b"not msgpack at all",
        PREFIX.pack(2, 0) + b"\x91\x03",
    ],
    ids=["ones", "oversized", "garbage", "welcome"],
)
def test_a_dialler_that_talks_nonsense_is_dropped(junk: bytes) -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await a.raw(b)
        await hello_of(stream)
        await stream.write(junk)
        with pytest.raises(ConnectionLost):
            await read(stream)
        assert (await a.links.to(b.key, [b.address], 5.0)).alive

    play(scene)


def test_a_dialler_that_says_nothing_is_dropped_in_time() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await a.raw(b)
        await hello_of(stream)
        start = world.loop.time()
        with pytest.raises(ConnectionLost):
            await read(stream)
        assert world.loop.time() - start <= HANDSHAKE_TIMEOUT_S + 1

    play(scene)


def test_an_acceptor_that_says_nothing_does_not_hold_the_dialler() -> None:
    async def scene(world: World) -> None:
        a = await world.peer("a")
        key = PublicKey(b"m" * 32)
        mute = world.streams.transport(Address("10.0.0.9", 7400), key)

        async def listen(stream: Stream) -> None:
            await stream.read_exactly(10**6)

        await mute.listen(7400, listen, Supervisor())
        with pytest.raises(ConnectionLost):
            await a.links.to(key, [Address("10.0.0.9", 7400)], 5.0)
        await mute.close()

    play(scene)
