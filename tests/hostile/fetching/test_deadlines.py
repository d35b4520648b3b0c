"""Nothing but what is delivered makes this node wait longer."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.content.builders.importer import FileBuilder, Profile
from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.content.dag.walk import Output, Piece
from dhtstore.errors import ConnectionLost
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import KIB, REQUEST_TIMEOUT_S
from dhtstore.wire.frames import Blocks, GetBlocks, Held, Replicate, Replicating
from tests.bids import some_replicate
from tests.unit.node.data_plane import Peer, World, collect, connected, play

EVERY_S = REQUEST_TIMEOUT_S - 1
SMALL = Profile("small", 4 * KIB, 1024, True, 1, "block")
CONTENT = b"".join(number.to_bytes(4, "big") * KIB for number in range(1000))


async def trickle(link: Link, request: GetBlocks, reply: Reply) -> None:
    """A byte now and then: block after block, wrong or right."""
    for index in range(len(request.cids)):
        await asyncio.sleep(EVERY_S)
        await reply(Blocks(indices=(index,), sizes=(1,)), b"x")


async def boast(link: Link, request: Replicate, reply: Reply) -> None:
    """Some more of the unit now and then, and never all of it."""
    for held_bytes in range(10_000):
        await asyncio.sleep(EVERY_S)
        await reply(Replicating(held_bytes=held_bytes))


def hold_small_leaves(peer: Peer) -> Cid:
    builder = FileBuilder(SMALL)
    with peer.store.batch() as batch:
        for at in range(0, len(CONTENT), 4 * KIB):
            leaf = SMALL.leaf(CONTENT[at : at + 4 * KIB])
            for block in (leaf, *builder.add_leaf(leaf.cid, 4 * KIB)):
                batch.put(block.cid, block.data)
        root = builder.finish()
        for block in root.blocks:
            batch.put(block.cid, block.data)
        batch.commit()
    return root.cid


def test_a_request_that_is_answered_byte_by_byte_ends_in_time() -> None:
    async def scene(world: World) -> None:
        _, _, link = await connected(world, {GetBlocks: trickle})
        start_s = world.loop.time()
        with pytest.raises(ConnectionLost):
            await collect(link, [Cid.of(b"%d" % number) for number in range(128)])
        assert world.loop.time() - start_s < 2 * REQUEST_TIMEOUT_S

    play(scene)


def test_who_says_that_it_copies_and_delivers_nothing_is_given_up() -> None:
    async def scene(world: World) -> None:
        _, _, link = await connected(world, {Replicate: boast})
        start_s = world.loop.time()
        with pytest.raises(ConnectionLost):
            async with asyncio.timeout(7 * 24 * 3600.0):
                await link.request(some_replicate(1), Held)
        assert world.loop.time() - start_s < 2 * REQUEST_TIMEOUT_S

    play(scene)


def test_a_holder_that_trickles_costs_a_get_seconds() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        slow = await world.peer("slow", {GetBlocks: trickle})
        root, start_s, out = hold_small_leaves(b), world.loop.time(), bytearray(len(CONTENT))

        async def sink(outputs: list[Output]) -> None:
            for each in outputs:
                if isinstance(each, Piece):
                    out[each.offset : each.offset + len(each.data)] = each.data

        links = [await a.links.to(each.key, [each.address], 5.0) for each in (slow, b)]
        async with FetchSession(a.disk, FixedHolders(links)) as session:
            await session.fetch(FileWalk(root), Delivery(sink))
        assert out == CONTENT
        assert world.loop.time() - start_s < 5.0

    play(scene)
