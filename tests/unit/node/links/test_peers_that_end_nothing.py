"""Peers that leave requests without an end, and say just enough not to seem silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from dhtstore.errors import ConnectionLost
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.model.network import Network
from dhtstore.net.ports import Stream
from dhtstore.node.links import pool
from dhtstore.node.links.frame_io import write_frame
from dhtstore.node.links.handshake import Credentials, admit
from dhtstore.node.links.link import Link
from dhtstore.params import CANCELLED_END_S, IDLE_CONNECTION_TIMEOUT_S, REQUEST_TIMEOUT_S
from dhtstore.tasks import Supervisor
from dhtstore.wire.frames import (
    NOTICE_TAGS,
    PREFIX,
    FrameRequest,
    GetBlocks,
    Held,
    Replicating,
)
from simulations.world.ports.clock import EPOCH_UNIX_S
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.entropy import SimEntropy
from tests.bids import some_replicate
from tests.unit.node.data_plane import World, collect, play, read

Chatter = Callable[[Stream, FrameRequest], Awaitable[None]]
SEVERAL = 5


async def unknown(stream: Stream, request: FrameRequest) -> None:
    header = msgspec.msgpack.encode([NOTICE_TAGS[-1]])
    await stream.write(PREFIX.pack(len(header), 0) + header)


async def the_same(stream: Stream, request: FrameRequest) -> None:
    await write_frame(stream, Replicating(held_bytes=1, request=request.request))


async def question(stream: Stream, request: FrameRequest) -> None:
    await write_frame(stream, GetBlocks(cids=(Cid.of(b"absent").raw,), request=1))


async def nothing(stream: Stream, request: FrameRequest) -> None:
    """Stay silent."""


async def linked(world: World, chatter: Chatter, name: str = "hostile") -> Link:
    """A link to a peer that answers every request with ``chatter`` now and then, for ever."""
    [node, *_] = world.peers or [await world.peer("node")]
    crypto = SimCrypto(name.encode(), name.encode())
    address = Address(f"10.1.0.{len(node.links.open_links()) + 1}", 7400)
    transport = world.streams.transport(address, crypto.node.public_key)
    tasks = Supervisor()

    async def chatting(stream: Stream, request: FrameRequest) -> None:
        while True:
            await asyncio.sleep(REQUEST_TIMEOUT_S / 3)
            await chatter(stream, request)

    async def talk(stream: Stream) -> None:
        own = Credentials(Network("main"), crypto, None, EPOCH_UNIX_S)
        await admit(stream, own, SimEntropy(1, name))
        asked = False
        while True:
            frame, _ = await read(stream)
            if isinstance(frame, FrameRequest) and not asked:
                asked = True
                tasks.spawn(chatting(stream, frame), "chatter")

    await transport.listen(address.port, talk, tasks)
    return await node.links.to(crypto.node.public_key, [address], 5.0)


@pytest.mark.parametrize("chatter", [nothing, unknown])
def test_a_peer_that_says_nothing_of_use_is_given_up_with_the_request(chatter: Chatter) -> None:
    async def scene(world: World) -> None:
        link = await linked(world, chatter)
        start_s = world.loop.time()
        with pytest.raises(ConnectionLost):
            async with asyncio.timeout(5 * REQUEST_TIMEOUT_S):
                await link.request(some_replicate(1), Held)
        assert world.loop.time() - start_s <= 1.5 * REQUEST_TIMEOUT_S
        await asyncio.sleep(1)
        assert not link.alive

    play(scene)


@pytest.mark.parametrize("chatter", [question, the_same])
def test_a_peer_that_talks_and_does_not_answer_is_given_up_a_little_later(
    chatter: Chatter,
) -> None:
    async def scene(world: World) -> None:
        link, start_s = await linked(world, chatter), world.loop.time()
        with pytest.raises(ConnectionLost):
            await link.request(some_replicate(1), Held)
        assert world.loop.time() - start_s <= 1.5 * REQUEST_TIMEOUT_S
        await asyncio.sleep(CANCELLED_END_S + 1)
        assert not link.alive

    play(scene)


def test_a_request_that_was_given_up_does_not_make_a_link_busy() -> None:
    async def scene(world: World) -> None:
        link = await linked(world, nothing)
        asking = world.peers[0].supervisor.spawn(collect(link, [Cid.of(b"x")]), "ask")
        await asyncio.sleep(1)
        assert link.busy
        asking.cancel()
        await asyncio.sleep(1)
        assert not link.busy
        await asyncio.sleep(IDLE_CONNECTION_TIMEOUT_S)
        assert not link.alive

    play(scene)


def test_links_full_of_such_peers_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECTIONS_MAX", SEVERAL)
    monkeypatch.setattr(pool, "CONNECTIONS_RESERVED", 0)

    async def scene(world: World) -> None:
        node = await world.peer("node")
        links = [await linked(world, question, f"hostile {n}") for n in range(SEVERAL)]
        for link in links:
            asking = node.supervisor.spawn(collect(link, [Cid.of(b"x")]), "ask")
            asking.add_done_callback(lambda done: done.exception())
        await asyncio.sleep(2 * REQUEST_TIMEOUT_S)
        node.failures.clear()
        honest = await world.peer("honest")
        assert (await honest.links.to(node.key, [node.address], 5.0)).alive

    play(scene)
