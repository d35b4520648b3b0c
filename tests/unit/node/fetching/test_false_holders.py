"""Many that say they hold a unit and do not: whoever does hold it is found all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.content.dag.walk import Output
from dhtstore.dht.engine.harvest import FoundProviders, OnProvider, Provider
from dhtstore.errors import IntegrityFailure, NotFound
from dhtstore.model.cid import Cid
from dhtstore.model.identity import DhtKey
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.dht_search import DhtSearch
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links.link import Link
from dhtstore.params import PROVIDERS_ASKED, PROVIDERS_PER_KEY_MAX
from dhtstore.wire.frames import Blocks, GetBlocks
from tests.unit.node.data_plane import Peer, World, play
from tests.unit.node.fetching.test_dht_search import (
    Clocked,
    ScriptedLookups,
    contact_at,
    provider,
)
from tests.unit.node.fetching.walks import UNIT

CONTENT = b"q" * 3000


@dataclass
class EndsEarly(ScriptedLookups):
    """As the real one: it ends once ``wanted`` are known."""

    async def find_providers(
        self, key: DhtKey, *, wanted: int, timeout_s: float, on_provider: OnProvider
    ) -> FoundProviders:
        self.wanted.append(wanted)
        for each in self.named[:wanted]:
            on_provider(each)
            await asyncio.sleep(0.05)
        return FoundProviders(self.named[:wanted], 3, 2)


def named(peers: Sequence[Peer]) -> list[Provider]:
    return [provider(peer, contact_at(peer, peer.address)) for peer in peers]


async def lie(link: Link, request: GetBlocks, reply: Any) -> None:
    for index in range(len(request.cids)):
        await reply(Blocks(indices=(index,), sizes=(len(CONTENT),)), b"w" * len(CONTENT))


async def crowd(world: World, count: int, *, lying: bool) -> list[Peer]:
    handlers: dict[Any, Any] = {GetBlocks: lie} if lying else {}
    return [await world.peer(f"fake {number}", handlers) for number in range(count)]


async def fetched(own: Peer, lookups: ScriptedLookups, root: Cid) -> int:
    pieces: list[Output] = []

    async def sink(outputs: Sequence[Output]) -> None:
        pieces.extend(outputs)

    async with FetchSession(own.disk, DhtSearch(lookups, own.links, own.key)) as session:
        await session.fetch(FileWalk(root), Delivery(sink))
    return len(pieces)


@pytest.mark.parametrize("lying", [False, True])
@pytest.mark.parametrize("count", [PROVIDERS_ASKED, PROVIDERS_PER_KEY_MAX - 1])
def test_a_holder_behind_a_crowd_is_reached(count: int, lying: bool) -> None:
    async def scene(world: World) -> None:
        own, honest = await world.peer("own"), await world.peer("honest")
        root = honest.hold(CONTENT)
        lookups = EndsEarly(named([*await crowd(world, count, lying=lying), honest]))
        assert await fetched(own, lookups, root) > 0
        assert len(lookups.wanted) == 1 + count // PROVIDERS_ASKED
        assert max(lookups.wanted) <= PROVIDERS_PER_KEY_MAX

    play(scene)


@pytest.mark.parametrize(("lying", "error"), [(False, NotFound), (True, IntegrityFailure)])
def test_a_crowd_without_a_holder_is_given_up(lying: bool, error: type[Exception]) -> None:
    async def scene(world: World) -> None:
        own = await world.peer("own")
        lookups = EndsEarly(named(await crowd(world, 20, lying=lying)))
        with pytest.raises(error):
            await fetched(own, lookups, Cid.of(CONTENT))
        assert len(lookups.wanted) <= 5

    play(scene)


def test_one_that_gave_blocks_and_was_lost_is_dialled_before_a_crowd_that_gave_none() -> None:
    async def scene(world: World) -> None:
        own, honest = await world.peer("own"), await world.peer("honest")
        peers = [*await crowd(world, 20, lying=False), honest]
        finds = Clocked(world, world.loop.time())
        finds.tried = {peer.key: None for peer in peers}
        finds.givers = (honest.key,)
        await DhtSearch(EndsEarly(named(peers)), own.links, own.key).search(UNIT, finds)
        assert len(finds.links) == PROVIDERS_ASKED
        assert honest.key in finds.links

    play(scene)


def test_those_that_lied_are_dialled_by_no_search() -> None:
    async def scene(world: World) -> None:
        own, honest = await world.peer("own"), await world.peer("honest")
        liars = await crowd(world, PROVIDERS_ASKED, lying=True)
        finds = Clocked(world, world.loop.time())
        finds.banned = {peer.key: None for peer in liars}
        finds.tried = {**finds.banned, honest.key: None}
        await DhtSearch(EndsEarly(named([*liars, honest])), own.links, own.key).search(UNIT, finds)
        assert list(finds.links) == [honest.key]

    play(scene)
