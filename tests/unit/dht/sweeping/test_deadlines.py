"""The time of a sweep is what its caller gave it, whatever others do."""

from __future__ import annotations

import pytest

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.engine.sweeping import sweeper
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.sweeping.test_sweeper import keys_of
from tests.unit.dht.world import World, play

TIMEOUT_S = 6.0


def test_keys_that_somebody_hides_have_the_time_of_the_sweep_and_not_each_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeper, "hides", lambda *_: True)

    async def scene(world: World) -> None:
        members, keys = await world.grow(12), keys_of(21, 40)
        publisher = members[3]
        seen = await publisher.dht.explore(keys[0], timeout_s=15)
        world.net.drops = lambda source, to, data: to != publisher.address
        began_s = world.loop.time()
        told, _ = await publisher.dht.provide_many(seen, keys, timeout_s=TIMEOUT_S)
        assert world.loop.time() - began_s <= TIMEOUT_S + 0.01
        assert {each.holders for each in told} == {0}, "and each is tried again later"

    play(scene)


def test_late_ones_are_asked_again_for_no_longer_than_there_is_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever answers a lookup may name hundreds who never do."""

    async def scene(world: World) -> None:
        members = await world.grow(8)
        rogues = [Rogue(world, b"%d" % n, f"10.66.0.{n + 1}") for n in range(200)]
        monkeypatch.setattr(Lookup, "unanswered", lambda *_: [each.peer for each in rogues])
        began_s = world.loop.time()
        await members[3].dht.explore(keys_of(22, 1)[0], timeout_s=TIMEOUT_S)
        assert world.loop.time() - began_s <= TIMEOUT_S + 0.01

    play(scene)
