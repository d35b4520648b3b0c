"""One address that takes all connections: found as a node that nobody else could reach."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest

from dhtstore.errors import ConnectionLost, PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.node.links import newcomers, pool
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import MIB
from dhtstore.wire.frames import Release, Released
from tests.unit.node.data_plane import Peer, World, collect, play


async def forever(link: Link, request: Release, reply: Reply) -> None:
    await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECTIONS_MAX", 6)
    monkeypatch.setattr(pool, "CONNECTIONS_RESERVED", 2, raising=False)


async def busy_link(world: World, node: Peer, host: str) -> Link:
    """Of a peer at ``host`` that keeps the node busy for ever."""
    peer = await world.peer(f"peer at {host}", host=host)
    link = await peer.links.to(node.key, [node.address], 5.0)
    asking = peer.supervisor.spawn(link.request(Release(reservation=1), Released, 10**6), "ask")
    asking.add_done_callback(lambda done: peer.failures.clear())
    await asyncio.sleep(0.1)
    return link


async def crowd(world: World, node: Peer, count: int) -> list[Link]:
    """Links of one origin, all of them busy."""
    return [await busy_link(world, node, f"10.66.0.{number + 1}") for number in range(count)]


def alive(links: list[Link]) -> int:
    return sum(link.alive for link in links)


def settle(world: World) -> None:
    for peer in world.peers:
        peer.failures.clear()


def test_busy_links_of_one_origin_lock_out_nobody_else() -> None:
    async def scene(world: World) -> None:
        node = await world.peer("node", {Release: forever})
        attackers = await crowd(world, node, 4)
        assert alive(attackers) == 4
        honest = await world.peer("honest", host="10.1.0.1")
        link = await honest.links.to(node.key, [node.address], 5.0)
        assert (await collect(link, [Cid.of(b"x")]))[1] == [0]
        await asyncio.sleep(0.1)
        assert alive(attackers) == 3
        settle(world)

    play(scene)


def test_a_newcomer_of_the_most_crowded_origin_is_refused_itself() -> None:
    async def scene(world: World) -> None:
        node = await world.peer("node", {Release: forever})
        honest = await busy_link(world, node, "10.1.0.1")
        attackers = await crowd(world, node, 3)
        more = await world.peer("more", host="10.66.0.99")
        with pytest.raises(PeerRefused) as refused:
            await more.links.to(node.key, [node.address], 5.0)
        assert refused.value.code == "busy"
        assert alive([honest, *attackers]) == 4
        settle(world)

    play(scene)


def test_origins_settle_at_equal_shares_and_do_not_push_each_other_out() -> None:
    async def scene(world: World) -> None:
        node = await world.peer("node", {Release: forever})
        attackers = await crowd(world, node, 4)
        honest = [await busy_link(world, node, f"10.1.0.{number}") for number in (1, 2)]
        await asyncio.sleep(0.1)
        assert (alive(attackers), alive(honest)) == (2, 2)
        for number in (1, 2, 3):
            with pytest.raises(PeerRefused, match="too many"):
                await busy_link(world, node, f"10.66.0.{100 + number}")
        assert (alive(attackers), alive(honest)) == (2, 2)
        settle(world)

    play(scene)


def test_places_for_the_links_that_a_node_dials_itself_are_kept() -> None:
    async def scene(world: World) -> None:
        node = await world.peer("node", {Release: forever})
        for number in range(6):
            taken = number < 4
            with nullcontext() if taken else pytest.raises(PeerRefused):
                await busy_link(world, node, f"10.{number + 50}.0.1")
        others = [await world.peer(name, {Release: forever}, f"10.7.0.{name}") for name in "12"]
        for other in others:
            assert (await node.links.to(other.key, [other.address], 5.0)).alive
        assert len(node.links.open_links()) == 6
        settle(world)

    play(scene)


def test_of_a_crowd_the_link_goes_that_brought_least_lately() -> None:
    async def scene(world: World) -> None:
        node = await world.peer("node", {Release: forever})
        attackers = await crowd(world, node, 4)
        node.hold(bytes(2 * MIB))
        for useful in (attackers[0], attackers[2], attackers[3]):
            await collect(useful, [Cid.of(bytes(MIB))])
        await busy_link(world, node, "10.1.0.1")
        await asyncio.sleep(0.1)
        assert [link.alive for link in attackers] == [True, False, True, True]
        settle(world)

    play(scene)


def test_hosts_of_one_origin_are_one_crowd_before_they_prove_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They take turns to be the oldest; with a place each they pushed out one that was slow."""
    monkeypatch.setattr(newcomers, "INBOUND_HANDSHAKES_MAX", 4)

    async def scene(world: World) -> None:
        node = await world.peer("node")
        slow = await (await world.peer("slow", host="10.1.0.1")).raw(node)
        silent = [
            await (await world.peer(f"silent {number}", host=f"10.66.0.{number}")).raw(node)
            for number in range(1, 12)
        ]
        await asyncio.sleep(0.1)
        await slow.read_exactly(8)  # the beginning of the hello: it was not pushed out
        await slow.write(b"\0" * 4)
        with pytest.raises(ConnectionLost):
            await silent[0].read_exactly(10**4)
        assert len(node.links._newcomers._greeting) == 4
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await slow.read_exactly(10**4)

    play(scene)
