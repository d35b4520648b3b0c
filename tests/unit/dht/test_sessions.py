"""What strangers must do before we compute for them."""

from __future__ import annotations

import asyncio

import msgspec

from dhtstore.dht.core.asking.rtt import RttEstimate
from dhtstore.dht.core.limits import TokenBucket
from dhtstore.dht.engine.sessions import RecentKeys, Sessions
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.params import (
    COLD_KEYS_PER_S,
    RPC_INITIAL_TIMEOUT_S,
    SESSION_KEYS_MAX,
    STRANGER_KEYS_BURST,
)
from dhtstore.wire.datagram import Ping
from simulations.world.ports.crypto import SimCrypto
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import World, play


def test_a_flood_of_strangers_is_asked_for_cookies_and_a_newcomer_still_gets_in() -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        ping = msgspec.msgpack.encode(Ping())
        at_once = int(COLD_KEYS_PER_S * STRANGER_KEYS_BURST)
        strangers = at_once + 20
        for number in range(strangers):
            flood = Rogue(world, b"%d" % number)
            sealed = flood.seal(member.contact.public_key, b"\x00" + b"m" * 20 + ping)
            member.dht.rpc.channel.receive(sealed, flood.contact.address)
        assert member.dht.counters["needs cookie"] == 20
        member.dht.rpc.channel.sessions._rations._cold = TokenBucket(0, 0)  # the flood goes on
        newcomer = world.add()
        await newcomer.dht.start()
        assert await newcomer.dht.ping(member.contact, 5) > 0
        assert newcomer.dht.counters["cookies_shown"] == 1

    play(scene)


def test_a_forged_stranger_leaves_no_key_behind() -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = Rogue(world)
        data = rogue.seal(member.contact.public_key, b"\x00" + b"m" * 20 + b"\x91\xa4ping")
        member.dht.rpc.channel.receive(data[:-1] + b"x", rogue.contact.address)
        await asyncio.sleep(1)
        assert member.dht.counters == {"forged": 1}
        sessions = member.dht.rpc.channel.sessions
        assert not len(sessions._keys) + len(sessions._strangers)

    play(scene)


def test_keys_of_the_peers_used_last_are_kept() -> None:
    kept = RecentKeys(SESSION_KEYS_MAX)
    peers = [PublicKey(n.to_bytes(32, "big")) for n in range(1, SESSION_KEYS_MAX + 2)]
    for peer in peers[:-1]:
        kept.put(peer, b"k")
        kept.put(peers[0], b"k")
        assert len(kept) <= SESSION_KEYS_MAX
    kept.put(peers[-1], b"k")
    assert len(kept) <= SESSION_KEYS_MAX
    assert set(kept) >= {peers[0], *peers[-SESSION_KEYS_MAX // 2 :]}
    assert peers[1] not in set(kept)


def test_strangers_push_out_no_key_of_who_answered_us() -> None:
    crypto = SimCrypto(b"a", b"a")
    made = Sessions(Network("n"), crypto, crypto.node.public_key, b"s" * 32)
    made._keys.put(b"friend", b"f")
    for number in range(10 * SESSION_KEYS_MAX):
        made.remember(PublicKey(number.to_bytes(32, "big")), b"k")
    assert made._keys.get(b"friend") == b"f"
    assert len(made._strangers) <= SESSION_KEYS_MAX // 2


def test_the_key_of_who_asked_is_kept_once_for_the_whole_process() -> None:
    async def scene(world: World) -> None:
        a, b = await world.grow(2)
        c = world.add(ephemeral=True)  # b and a know it by its request alone
        await c.dht.start()
        for member in (a, b):
            await c.dht.ping(member.contact, 3)
        kept = [
            key
            for member in (a, b)
            for key in member.dht.rpc.channel.sessions._strangers
            if key == c.contact.public_key
        ]
        assert len(kept) == 2
        assert kept[0] is kept[1]

    play(scene)


def test_a_token_bucket_gives_its_burst_then_its_rate() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=4)
    assert [bucket.take(100.0) for _ in range(5)] == [True] * 4 + [False]
    assert [bucket.take(100.5) for _ in range(2)] == [True, False]


def test_the_first_timeout_follows_a_high_quantile_of_what_is_measured() -> None:
    estimate = RttEstimate()
    assert estimate.timeout_s == RPC_INITIAL_TIMEOUT_S
    estimate.add(0.2)
    assert 0.55 < estimate.timeout_s < 0.65
    for _ in range(40):
        estimate.add(0.2)
    assert 0.2 < estimate.timeout_s < 0.3
