"""Whoever has not shown that it receives at an address makes us send three times its bytes there,
whatever it sends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dhtstore.dht.core.peer import peer_of
from dhtstore.dht.core.stores.held import OURS
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.policy import Policy
from dhtstore.model.signing import attach
from dhtstore.params import AMPLIFICATION_MAX, DATAGRAM_MAX_BYTES, POLICY_TTL_S
from dhtstore.wire import envelope
from dhtstore.wire.datagram import (
    FindContact,
    FindNode,
    FindPolicy,
    GetProviders,
    Ping,
    StoreContact,
    StorePolicy,
)
from simulations.world.ports.crypto import SimCrypto
from tests.hostile.dht.stranger import Stranger
from tests.unit.dht.world import HOUR_S, Member, World, play

KNOWN = 60
VICTIMS = 3
KEY = DhtKey(b"\x05" * 20)
POLICY = attach(Policy(b"o" * 32, Cid.of(b"root").raw, 1, 3, 0, False), bytes(64))
KINDS: dict[str, Callable[[Stranger], object]] = {
    "ping": lambda liar: Ping(),
    "find_node": lambda liar: FindNode(KEY),
    "get_providers": lambda liar: GetProviders(KEY, 0),
    "find_contact": lambda liar: FindContact(KEY),
    "add_provider": lambda liar: liar.pair(liar.crypto, KEY, "91.9.9.9", HOUR_S),
    "store_contact": lambda liar: StoreContact(
        liar.pair(liar.crypto, KEY, "91.9.9.9", HOUR_S).contact
    ),
    "find_policy": lambda liar: FindPolicy(POLICY.key),
    "store_policy": lambda liar: StorePolicy(POLICY.packed),
    "unknown": lambda liar: ["of_later", 1],
}
sent = st.tuples(
    st.integers(0, VICTIMS - 1),
    st.sampled_from(sorted(KINDS)),
    st.integers(0, 3),  # whose key
    st.integers(0, DATAGRAM_MAX_BYTES),
    st.booleans(),  # whether it says that it is gone soon
    st.sampled_from((0.0, 0.0, 0.05, 1.0)),
)


@given(st.lists(sent, min_size=1, max_size=40))
@settings(max_examples=20, deadline=None)
def test_no_address_that_never_answered_is_sent_more_than_three_times_what_came_from_there(
    datagrams: list[tuple[int, str, int, int, bool, float]],
) -> None:
    async def scene(world: World) -> None:
        watched = Watched(world, await knowing_many(world))
        for victim, kind, key, size_bytes, ephemeral, pause_s in datagrams:
            watched.spoof(victim, kind, key, size_bytes, ephemeral=ephemeral)
            await asyncio.sleep(pause_s)
        await asyncio.sleep(30)  # pings and their repetitions are over
        assert not watched.too_much

    play(scene)


async def knowing_many(world: World) -> Member:
    """A node with more to tell than goes into an answer."""
    (member,) = await world.grow(1)
    await member.provide(KEY)
    assert member.dht.rpc.keeper.restore(POLICY, OURS, POLICY_TTL_S)
    for number in range(KNOWN):
        at = Address(f"77.{number}.1.1", 7400)
        peer = peer_of(Contact.of(PublicKey(bytes((number, 1)) + bytes(30)), at))
        member.dht.rpc.table.answered(peer, world.loop.time())
        member.dht.rpc.table.newcomers.leave(peer)
    return member


class Watched:
    """A node, and what comes from and goes to addresses that others only claim."""

    def __init__(self, world: World, member: Member) -> None:
        self.liar, self.member = Stranger(world, "91.1.1.1"), member
        self.victims = [Address(f"93.{n}.1.1", 7400) for n in range(VICTIMS)]
        self.came, self.went = Counter[Address](), Counter[Address]()
        self.too_much: list[tuple[Address, int, int]] = []
        send = member.endpoint.send

        def counted(data: bytes, to: Address) -> bool:
            if to in self.victims:
                self.went[to] += len(data)
                if self.went[to] > AMPLIFICATION_MAX * self.came[to]:
                    self.too_much.append((to, self.went[to], self.came[to]))
            return send(data, to)

        member.endpoint.send = counted  # type: ignore[method-assign]

    def spoof(self, victim: int, kind: str, key: int, size_bytes: int, *, ephemeral: bool) -> None:
        self.liar.crypto = SimCrypto(b"key %d" % key, b"")
        payload = msgspec.msgpack.encode(KINDS[kind](self.liar))
        data = self.liar.seal(
            self.member.contact.public_key,
            b"\x00" + b"m" * 20 + payload,
            flags=envelope.EPHEMERAL * ephemeral,
            size_bytes=size_bytes,
        )
        if len(data) <= DATAGRAM_MAX_BYTES:
            source = self.victims[victim]
            self.came[source] += len(data)
            self.member.dht.rpc.channel.receive(data, source)


def test_a_session_does_not_make_others_addresses_its_own() -> None:
    """Who agreed on a key once spoofs valid requests without end: each address gets few."""

    async def scene(world: World) -> None:
        watched = Watched(world, await knowing_many(world))
        for _ in range(10_000):
            watched.spoof(0, "find_node", 0, 400, ephemeral=True)
        assert watched.member.dht.counters["over rate"] > 9000
        assert watched.went[watched.victims[0]] < 500_000
        assert not watched.too_much

    play(scene)
