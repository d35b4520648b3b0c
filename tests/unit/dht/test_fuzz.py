"""Whatever bytes come, nothing raises, nothing is kept, and honest nodes go on being answered."""

from __future__ import annotations

import random

import msgspec

from dhtstore.model.identity import dht_key
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.wire import envelope
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import Member, World, play

KEY = dht_key(b"unit")
DATAGRAMS = 400


def _state(member: Member) -> tuple[object, ...]:
    rpc = member.dht.rpc
    return (
        [c.node for c in member.dht.contacts()],
        member.dht.records_held,
        rpc.keeper._contacts.count,
        rpc.calls.in_flight,
        len(rpc.channel.sessions._keys),
    )


def _valid(world: World, rogue: Rogue, member: Member) -> list[bytes]:
    """Well-formed frames of each kind, authenticated by the rogue."""
    record, contact = member.provider_record(KEY), member.contact_record()
    requests = (
        ["ping"],
        ["find_node", KEY],
        ["get_providers", KEY, 0],
        ["find_contact", KEY],
        ["store_contact", contact],
        ["add_provider", record, contact],
    )
    payloads = [msgspec.msgpack.encode(request) for request in requests]
    message_id = b"i" * 20
    frames = [bytes((kind,)) + message_id + p for kind in (0, 1) for p in payloads]
    return [rogue.seal(member.contact.public_key, frame) for frame in frames]


def _mutated(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        what = rng.randrange(3)
        at = rng.randrange(len(changed))
        if what == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            del changed[at : at + rng.randint(1, 40)]
        else:
            changed[at:at] = rng.randbytes(rng.randint(1, 40))
        changed = changed or bytearray(b"x")
    return bytes(changed)


def test_random_datagrams_change_nothing() -> None:
    async def scene(world: World) -> None:
        member, _ = await world.grow(2)
        before = _state(member)
        prefix = world.network.datagram_prefix
        for number in range(DATAGRAMS):
            junk = world.rng.randbytes(world.rng.randint(0, 1200))
            junk = prefix + junk if number % 2 else junk
            member.dht.rpc.channel.receive(junk, member.world.members[1].address)
        assert _state(member) == before

    play(scene)


def test_mutated_datagrams_change_nothing() -> None:
    async def scene(world: World) -> None:
        member, _ = await world.grow(2)
        rogue = Rogue(world)
        before = _state(member)
        valid = _valid(world, rogue, member)
        for _ in range(DATAGRAMS):
            data = _mutated(world.rng, world.rng.choice(valid))
            if data not in valid:
                member.dht.rpc.channel.receive(data, rogue.contact.address)
        assert _state(member) == before

    play(scene)


def test_authenticated_junk_changes_nothing_and_honest_nodes_are_answered() -> None:
    async def scene(world: World) -> None:
        member, other = await world.grow(2)
        rogue = Rogue(world)
        known = member.dht.contacts()
        signed: tuple[list[ProviderRecord], ...] = ([], [member.provider_record(KEY)])
        frames = [envelope.parse(data) for data in _valid(world, rogue, member)]
        for number in range(DATAGRAMS):
            opened = frames[number % len(frames)]
            assert opened is not None
            frame = opened.frame[:21] + _mutated(world.rng, opened.frame[21:])
            if len(frame) > 1000 or frame[21:] == opened.frame[21:]:
                continue
            sealed = rogue.seal(member.contact.public_key, frame, flags=envelope.EPHEMERAL)
            member.dht.rpc.channel.receive(sealed, rogue.contact.address)
        assert member.dht.contacts() == known
        assert member.dht.rpc.calls.in_flight == 0
        assert member.dht.rpc.keeper.providers(KEY) in signed, "only what its signer signed"
        assert member.dht.records_held <= 1
        own = member.dht.rpc.keeper.contact(member.contact.node)
        assert own in (None, member.contact_record())
        assert await other.dht.ping(member.contact, 3) > 0

    play(scene)
