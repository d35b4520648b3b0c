"""Links: one per peer, requests both ways."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.errors import ConnectionLost, NoRoom, PeerRefused, RefusedByNetwork
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.node.links import newcomers, pool
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import (
    DIAL_HEAD_START_S,
    FRAME_PACK_BYTES,
    IDLE_CONNECTION_TIMEOUT_S,
    KIB,
    MIB,
    RATE_MIN_BYTES_PER_S,
    REQUEST_TIMEOUT_S,
    REQUESTS_IN_FLIGHT_MAX,
)
from dhtstore.wire.frames import (
    Accepted,
    Declined,
    Hello,
    Release,
    Released,
    Replicate,
    Replicating,
)
from simulations.world.network.stream import SimStream
from simulations.world.ports.crypto import SimCrypto
from tests.bids import some_replicate
from tests.unit.node.data_plane import World, collect, connected, play, read

# --- the pool -------------------------------------------------------------------------------


def test_callers_share_one_dial_and_one_link() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        found = await asyncio.gather(*(a.links.to(b.key, [b.address], 5.0) for _ in range(5)))
        assert len(set(found)) == 1
        assert await a.links.to(b.key, [], 5.0) is found[0]
        await collect(found[0], [Cid.of(b"x")])  # answered once the dialler has introduced itself
        assert len(b.links.open_links()) == 1
        assert await b.links.to(a.key, [], 5.0) is b.links.open_links()[0]

    play(scene)


def test_a_caller_that_gives_up_does_not_spoil_the_dial_of_others() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        first = asyncio.ensure_future(a.links.to(b.key, [b.address], 5.0))
        second = asyncio.ensure_future(a.links.to(b.key, [b.address], 5.0))
        await asyncio.sleep(0.01)
        first.cancel()
        assert (await second).alive

    play(scene)


def test_a_shared_dial_takes_the_addresses_of_whoever_joins() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        nobody = Address("10.9.9.9", 7400)
        first = a.supervisor.spawn(a.links.to(b.key, [nobody], 60.0), "dial")
        await asyncio.sleep(0.1)
        link = await a.links.to(b.key, [nobody, b.address], 1.0)
        assert link.alive
        assert await first is link
        assert world.loop.time() < 1.5

    play(scene)


@pytest.mark.parametrize(("first_s", "second_s"), [(1.0, 20.0), (20.0, 1.0)])
def test_each_caller_of_a_shared_dial_waits_as_long_as_it_said(
    first_s: float, second_s: float
) -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        ended: dict[float, float] = {}

        async def dial(timeout_s: float) -> None:
            with pytest.raises(ConnectionLost, match=f"did not answer within {timeout_s:g} s"):
                await a.links.to(b.key, [Address("10.9.9.9", 7400)], timeout_s)
            ended[timeout_s] = world.loop.time()

        started_s = world.loop.time()
        for timeout_s in (first_s, second_s):
            a.supervisor.spawn(dial(timeout_s), "dial")
        await asyncio.sleep(30)
        assert ended[1.0] - started_s == pytest.approx(1.0, abs=0.01)
        assert ended[20.0] - started_s == pytest.approx(20.0, abs=0.01)

    play(scene)


def test_an_address_is_tried_for_as_long_as_any_caller_waits() -> None:
    async def scene(world: World) -> None:
        a, later = await world.peer("a"), Address("10.0.0.2", 7400)
        key = SimCrypto(b"b", b"b").node.public_key
        impatient = a.supervisor.spawn(a.links.to(key, [later], 1.0), "dial")
        await asyncio.sleep(0.2)
        patient = a.supervisor.spawn(a.links.to(key, [later], 20.0), "dial")
        b = await world.peer("b")
        assert (b.key, b.address) == (key, later)
        with pytest.raises(ConnectionLost):
            await impatient
        assert (await patient).alive
        a.failures.clear()

    play(scene)


def test_a_caller_that_waits_no_longer_is_told_that_the_node_refused() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        with pytest.raises(RefusedByNetwork):
            await a.links.to(b.key, [c.address, Address("10.9.9.9", 7400)], 1.0)

    play(scene)


def test_another_node_at_an_address_is_passed_over() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        nobody = Address("10.9.9.9", 1)
        link = await a.links.to(b.key, [nobody, c.address, b.address], 5.0)
        assert link.public_key == b.key

    play(scene)


def test_an_address_that_is_silent_holds_up_the_next_for_a_moment_only() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        nobody = [Address(f"10.9.9.{number}", 1) for number in range(1, 4)]
        started_s = world.loop.time()
        await a.links.to(b.key, [*nobody, b.address], 5.0)
        assert world.loop.time() - started_s < 4 * DIAL_HEAD_START_S

    play(scene)


def test_addresses_of_our_own_network_are_tried_first() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        far, loop = Address("172.16.0.1", 1), Address("127.0.0.1", 1)
        dialled: list[Address] = []
        dial = a.streams.dial

        async def noted(to: Address, expected_key: PublicKey | None, timeout_s: float) -> SimStream:
            dialled.append(to)
            return await dial(to, expected_key, timeout_s)

        a.streams.dial = noted  # type: ignore[method-assign]
        with pytest.raises(RefusedByNetwork):
            await a.links.to(b.key, [loop, far, Address("no address", 1), c.address], 5.0)
        assert dialled == [c.address, far, loop]

    play(scene)


def test_an_idle_link_to_where_a_peer_is_no_more_is_replaced() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        moved = await world.peer("b")
        before = await a.links.to(b.key, [b.address], 5.0)
        after = await a.links.to(b.key, [moved.address], 5.0)
        assert (before.alive, after.remote) == (False, moved.address)
        assert await a.links.to(b.key, [moved.address, b.address], 5.0) is after

    play(scene)


def test_a_link_stays_when_its_peer_cannot_be_reached_elsewhere() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        link = await a.links.to(b.key, [b.address], 5.0)
        assert await a.links.to(b.key, [Address("10.9.9.9", 1)], 5.0) is link
        assert await a.links.to(b.key, [], 5.0) is link
        assert link.alive

    play(scene)


def test_no_address_that_answers_is_a_lost_connection() -> None:
    async def scene(world: World) -> None:
        a = await world.peer("a")
        with pytest.raises(ConnectionLost):
            await a.links.to(a.key, [Address("10.9.9.9", 1)], 5.0)
        with pytest.raises(ConnectionLost, match="no address"):
            await a.links.to(a.key, [], 5.0)

    play(scene)


def test_nodes_that_dial_each_other_at_once_both_get_a_link_that_works() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        root = b.hold(b"x")
        to_b, to_a = await asyncio.gather(
            a.links.to(b.key, [b.address], 5.0), b.links.to(a.key, [a.address], 5.0)
        )
        assert (await collect(to_b, [root]))[0] == {0: b"x"}
        assert (await collect(to_a, [root]))[1] == [0]

    play(scene)


def test_an_idle_link_ends_and_the_next_caller_dials_anew() -> None:
    async def scene(world: World) -> None:
        a, b, link = await connected(world)
        await asyncio.sleep(2 * IDLE_CONNECTION_TIMEOUT_S + 1)
        assert not link.alive
        assert not a.links.open_links()
        assert not b.links.open_links()
        assert (await a.links.to(b.key, [b.address], 5.0)).alive

    play(scene)


def test_a_full_node_ends_what_was_idle_longest_and_refuses_when_all_are_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "CONNECTIONS_MAX", 2)
    monkeypatch.setattr(pool, "CONNECTIONS_RESERVED", 0)

    async def forever(link: Link, request: Release, reply: Reply) -> None:
        await asyncio.Event().wait()

    async def scene(world: World) -> None:
        full = await world.peer("full", {Release: forever})
        others = [await world.peer(name) for name in "abcd"]
        a, b, c = [await o.links.to(full.key, [full.address], 5.0) for o in others[:3]]
        await asyncio.sleep(1)
        assert [a.alive, b.alive, c.alive] == [False, True, True]
        asking = [
            asyncio.ensure_future(x.request(Release(reservation=1), Released)) for x in (b, c)
        ]
        await asyncio.sleep(1)
        with pytest.raises(PeerRefused) as refused:
            await others[3].links.to(full.key, [full.address], 5.0)
        assert refused.value.code == "busy"
        for task in asking:
            task.cancel()

    play(scene)


def test_a_stranger_that_proves_no_key_ends_no_link_of_a_full_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "CONNECTIONS_MAX", 2)
    monkeypatch.setattr(pool, "CONNECTIONS_RESERVED", 0)

    async def scene(world: World) -> None:
        full, stranger = await world.peer("full"), await world.peer("stranger")
        links = [
            await (await world.peer(name)).links.to(full.key, [full.address], 5.0) for name in "ab"
        ]
        stream = await stranger.raw(full)
        assert isinstance((await read(stream))[0], Hello)
        await asyncio.sleep(1)
        assert [link.alive for link in links] == [True, True]

    play(scene)


def test_strangers_that_never_prove_a_key_give_way_to_those_that_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(newcomers, "INBOUND_HANDSHAKES_MAX", 3)

    async def scene(world: World) -> None:
        node, stranger, honest = [await world.peer(name) for name in ("node", "stranger", "honest")]
        silent = [await stranger.raw(node) for _ in range(3)]
        await asyncio.sleep(1)
        assert (await honest.links.to(node.key, [node.address], 5.0)).alive
        await read(silent[0])  # the hello, sent before it gave way
        with pytest.raises(ConnectionLost):
            await read(silent[0])
        assert isinstance((await read(silent[2]))[0], Hello)

    play(scene)


# --- requests -------------------------------------------------------------------------------


def test_requests_flow_both_ways_on_one_link() -> None:
    async def accept(link: Link, request: Release, reply: Reply) -> None:
        await reply(Released())

    async def scene(world: World) -> None:
        a, b = await world.peer("a", {Release: accept}), await world.peer("b", {Release: accept})
        link = await a.links.to(b.key, [b.address], 5.0)
        assert isinstance(await link.request(Release(reservation=1), Released), Released)
        (back,) = b.links.open_links()
        assert isinstance(await back.request(Release(reservation=1), Released), Released)

    play(scene)


WIDE_BYTES = 60 * RATE_MIN_BYTES_PER_S


def test_progress_is_told_and_keeps_a_request_alive_for_what_it_is_worth() -> None:
    async def slowly(link: Link, request: Replicate, reply: Reply) -> None:
        for done in range(5):
            await asyncio.sleep(REQUEST_TIMEOUT_S * 0.9)
            await reply(Replicating(held_bytes=done))
        await asyncio.sleep(REQUEST_TIMEOUT_S * 0.9)
        await reply(Declined(code="no-room", reason="full"))

    async def scene(world: World) -> None:
        _, _, link = await connected(world, {Replicate: slowly})
        told: list[int] = []
        with pytest.raises(PeerRefused, match="full") as refused:
            await link.request(
                some_replicate(1),
                Accepted,
                on_progress=lambda update: told.append(update.held_bytes),
                worth=lambda held_bytes: WIDE_BYTES,
            )
        assert refused.value.code == "no-room"
        assert told == [0, 1, 2, 3, 4]
        start_s = world.loop.time()
        with pytest.raises(ConnectionLost):
            await link.request(some_replicate(1), Accepted)
        assert world.loop.time() - start_s == pytest.approx(REQUEST_TIMEOUT_S)

    play(scene)


def test_silence_is_a_lost_connection() -> None:
    async def never(link: Link, request: Release, reply: Reply) -> None:
        await asyncio.Event().wait()

    async def scene(world: World) -> None:
        _, _, link = await connected(world, {Release: never})
        start = world.loop.time()
        with pytest.raises(ConnectionLost, match="silent"):
            await link.request(Release(reservation=1), Released, timeout_s=7.0)
        assert world.loop.time() == pytest.approx(start + 7.0)

    play(scene)


def test_a_peer_that_loses_power_fails_what_was_asked_of_it() -> None:
    async def scene(world: World) -> None:
        _, b, link = await connected(world)
        world.network.crash(b.address, silent=True)
        with pytest.raises(ConnectionLost):
            await collect(link, [Cid.of(b"x")])
        await asyncio.sleep(1)
        assert not link.alive

    play(scene)


def test_an_error_of_a_handler_is_told_by_its_name() -> None:
    async def full(link: Link, request: Release, reply: Reply) -> None:
        raise NoRoom("the disk is full")

    async def scene(world: World) -> None:
        _, _, link = await connected(world, {Release: full})
        with pytest.raises(PeerRefused, match="the disk is full") as refused:
            await link.request(Release(reservation=1), Released)
        assert refused.value.code == "no-room"

    play(scene)


def test_a_bug_in_a_handler_is_seen_here_and_ends_the_request_there() -> None:
    async def broken(link: Link, request: Release, reply: Reply) -> None:
        raise KeyError("a bug")

    async def scene(world: World) -> None:
        _, b, link = await connected(world, {Release: broken})
        with pytest.raises(PeerRefused) as refused:
            await link.request(Release(reservation=1), Released)
        assert refused.value.code == "internal"
        assert link.alive
        assert [type(error) for error in b.failures] == [KeyError]
        b.failures.clear()

    play(scene)


def test_what_nobody_serves_is_declined() -> None:
    async def scene(world: World) -> None:
        _, _, link = await connected(world)
        with pytest.raises(PeerRefused) as refused:
            await link.request(Release(reservation=1), Released)
        assert refused.value.code == "unsupported"

    play(scene)


def test_giving_up_a_request_ends_the_work_for_it_at_the_peer() -> None:
    ended: list[str] = []

    async def forever(link: Link, request: Release, reply: Reply) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def scene(world: World) -> None:
        _, b, link = await connected(world, {Release: forever})
        for _ in range(3 * REQUESTS_IN_FLIGHT_MAX):
            asking = asyncio.ensure_future(link.request(Release(reservation=1), Released))
            await asyncio.sleep(0.05)
            asking.cancel()
        await asyncio.sleep(1)
        assert len(ended) == 3 * REQUESTS_IN_FLIGHT_MAX
        assert not b.links.open_links()[0].busy
        assert link.alive

    play(scene)


def test_more_requests_than_may_be_in_flight_wait_their_turn() -> None:
    async def later(link: Link, request: Release, reply: Reply) -> None:
        await asyncio.sleep(0.1)
        await reply(Released())

    async def scene(world: World) -> None:
        _, _, link = await connected(world, {Release: later})
        asked = [
            link.request(Release(reservation=1), Released)
            for _ in range(3 * REQUESTS_IN_FLIGHT_MAX)
        ]
        assert len(await asyncio.gather(*asked)) == 3 * REQUESTS_IN_FLIGHT_MAX

    play(scene)


def test_requests_that_wait_their_turn_end_with_the_link() -> None:
    """Found as requests that waited for their own deadline on a link that was gone."""

    async def never(link: Link, request: Release, reply: Reply) -> None:
        await asyncio.Event().wait()

    async def scene(world: World) -> None:
        _, b, link = await connected(world, {Release: never})
        asked = [
            asyncio.ensure_future(link.request(Release(reservation=1), Released))
            for _ in range(2 * REQUESTS_IN_FLIGHT_MAX)
        ]
        await asyncio.sleep(1)
        b.links.open_links()[0].abandon()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ConnectionLost}
        assert world.loop.time() < 3.0

    play(scene)


# --- blocks ---------------------------------------------------------------------------------


def test_small_blocks_share_frames_and_missing_ones_are_named() -> None:
    async def scene(world: World) -> None:
        _, b, link = await connected(world)
        contents = [bytes([number]) * 4 * KIB for number in range(100)]
        cids = [b.hold(content) for content in contents]
        cids.insert(50, Cid.of(b"nobody has this"))
        contents.insert(50, b"")
        blocks, missing, parts = await collect(link, cids)
        assert missing == [50]
        assert blocks == {i: content for i, content in enumerate(contents) if i != 50}
        assert parts <= 1 + 100 * 4 * KIB // FRAME_PACK_BYTES + 1

    play(scene)


def test_large_blocks_arrive_whole() -> None:
    async def scene(world: World) -> None:
        _, b, link = await connected(world)
        contents = [bytes([number]) * (2 * MIB if number % 2 else 300 * KIB) for number in range(6)]
        with b.store.batch() as batch:
            for content in contents:
                batch.put(Cid.of(content), content)
            batch.commit()
        blocks, _, _ = await collect(link, [Cid.of(content) for content in contents])
        assert blocks == dict(enumerate(contents))
        assert b.server.sent_bytes == sum(map(len, contents))

    play(scene)


def test_what_is_no_cid_is_declined() -> None:
    async def scene(world: World) -> None:
        _, _, link = await connected(world)
        with pytest.raises(PeerRefused) as refused:
            await collect(link, [Cid(b"nonsense")])
        assert refused.value.code == "malformed"

    play(scene)
