"""A stranger's word must not choose what this node touches where it alone can reach."""

from __future__ import annotations

import pytest

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.node.fetching.dht_search import DhtSearch
from simulations.world.network.stream import SimStream
from tests.unit.node.data_plane import World, play
from tests.unit.node.fetching.test_dht_search import (
    Clocked,
    ScriptedLookups,
    contact_at,
    provider,
)
from tests.unit.node.fetching.walks import UNIT


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.1", "169.254.169.254", "::1"])
@pytest.mark.parametrize("told", ["at once", "by who is near"])
def test_a_provider_that_says_it_is_in_here_is_not_dialled(host: str, told: str) -> None:
    async def scene(world: World) -> None:
        a, stranger = await world.peer("a"), await world.peer("stranger")
        dialled: list[Address] = []
        dial = a.streams.dial

        async def noted(to: Address, expected_key: PublicKey | None, timeout_s: float) -> SimStream:
            dialled.append(to)
            return await dial(to, expected_key, timeout_s)

        a.streams.dial = noted  # type: ignore[method-assign]
        lie = contact_at(stranger, Address(host, 6379))
        lookups = ScriptedLookups([provider(stranger, lie if told == "at once" else None)])
        lookups.contacts[stranger.record().node] = lie
        finds = Clocked(world, world.loop.time())
        await DhtSearch(lookups, a.links, a.key).search(UNIT, finds)
        assert list(finds.failures) == [stranger.key]
        assert dialled == []

    play(scene)


def test_where_a_provider_was_heard_it_is_dialled_whatever_it_says() -> None:
    async def scene(world: World) -> None:
        a, honest = await world.peer("a"), await world.peer("honest")
        lookups = ScriptedLookups([provider(honest, contact_at(honest, Address("127.0.0.1", 1)))])
        lookups.heard[honest.record().node] = honest.address
        finds = Clocked(world, world.loop.time())
        await DhtSearch(lookups, a.links, a.key).search(UNIT, finds)
        assert list(finds.links) == [honest.key]

    play(scene)
