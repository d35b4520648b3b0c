"""Providers are dialled as the lookup names them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from dhtstore.dht.engine.harvest import FoundProviders, OnProvider, Provider
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import DhtKey, NodeId, PublicKey
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.node.fetching.dht_search import DhtSearch
from dhtstore.node.fetching.search import USUAL, SearchExtent, Terms
from dhtstore.node.links.link import Link
from dhtstore.node.links.tries import Try
from dhtstore.operations.explaining.causes import Cause
from dhtstore.params import DIAL_TIMEOUT_S
from tests.unit.node.data_plane import Peer, World, play
from tests.unit.node.fetching.walks import UNIT

NOWHERE = Address("10.9.9.9", 7400)


def contact_at(peer: Peer, address: Address, sequence: int = 1) -> ContactRecord:
    return ContactRecord(peer.key, ((address.host, address.port),), 1, "", sequence, 0, 10)


def provider(peer: Peer, contact: ContactRecord | None) -> Provider:
    return Provider(ProviderRecord(UNIT.key, peer.key, 1, 0, 10), contact)


@dataclass
class ScriptedLookups:
    """Names ``named`` a second after one another; its result is ``found``, or the same."""

    named: list[Provider]
    found: list[Provider] | None = None
    contacts: dict[NodeId, ContactRecord] = field(default_factory=dict)
    heard: dict[NodeId, Address] = field(default_factory=dict)
    wanted: list[int] = field(default_factory=list)

    async def find_providers(
        self, key: DhtKey, *, wanted: int, timeout_s: float, on_provider: OnProvider
    ) -> FoundProviders:
        self.wanted.append(wanted)
        for each in self.named:
            on_provider(each)
            await asyncio.sleep(1)
        return FoundProviders(self.named if self.found is None else self.found, 3, 2)

    async def find_contact(self, node: NodeId, *, timeout_s: float) -> ContactRecord | None:
        return self.contacts.get(node)

    def address_of(self, node: NodeId) -> Address | None:
        return self.heard.get(node)


@dataclass
class Clocked:
    """What a search finds, with the second of each."""

    world: World
    start_s: float
    links: dict[PublicKey, int] = field(default_factory=dict)
    failures: dict[PublicKey, int] = field(default_factory=dict)
    extent: str = ""
    tried: dict[PublicKey, None] = field(default_factory=dict)
    banned: dict[PublicKey, None] = field(default_factory=dict)
    givers: tuple[PublicKey, ...] = ()
    named: list[PublicKey] = field(default_factory=list)
    tries: dict[PublicKey, list[Try]] = field(default_factory=dict)

    def gave(self, key: PublicKey) -> bool:
        return key in self.givers

    def connected(self, link: Link, terms: Terms = USUAL) -> None:
        self.links[link.public_key] = int(self.world.loop.time() - self.start_s)

    def dialling(self, key: PublicKey) -> None:
        self.named.append(key)

    def dialled(self, key: PublicKey, tries: Sequence[Try]) -> None:
        self.tries.setdefault(key, []).extend(tries)

    def waits(self, key: PublicKey) -> bool:
        return False

    def unreached(self, key: PublicKey, cause: Cause, again: Callable[[], Awaitable[Link]]) -> None:
        self.failures[key] = int(self.world.loop.time() - self.start_s)

    def searched(self, extent: SearchExtent) -> None:
        self.extent = extent.told


async def search(world: World, own: Peer, lookups: ScriptedLookups) -> Clocked:
    finds = Clocked(world, world.loop.time())
    await DhtSearch(lookups, own.links, own.key).search(UNIT, finds)
    return finds


def test_each_provider_is_dialled_when_it_is_named_but_not_oneself() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        named = [provider(peer, contact_at(peer, peer.address)) for peer in (a, b, c)]
        finds = await search(world, a, ScriptedLookups(named))
        assert finds.links == {b.key: 1, c.key: 2}
        assert finds.failures == {}

    play(scene)


def test_a_stale_address_is_replaced_by_the_newest_that_the_lookup_meets() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stale = provider(b, contact_at(b, NOWHERE))
        newest = replace(stale, contact=contact_at(b, b.address, sequence=2))
        finds = await search(world, a, ScriptedLookups([stale], [newest]))
        assert list(finds.links) == [b.key]

    play(scene)


def test_an_address_that_was_not_told_is_looked_up() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        named = [provider(b, None), provider(c, None)]
        contact = contact_at(b, b.address)
        finds = await search(world, a, ScriptedLookups(named, contacts={contact.node: contact}))
        assert list(finds.links) == [b.key]
        assert list(finds.failures) == [c.key]

    play(scene)


def test_who_was_not_reached_is_tried_again_after_all_others_and_others_are_asked_for() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        dead = provider(b, contact_at(b, NOWHERE))
        alive = provider(c, contact_at(c, c.address))
        lookups = ScriptedLookups([dead])
        searching, finds = DhtSearch(lookups, a.links, a.key), Clocked(world, world.loop.time())
        await searching.search(UNIT, finds)
        assert list(finds.failures) == [b.key]
        lookups.named = [dead, alive]
        again = Clocked(world, world.loop.time(), tried={b.key: None})
        await searching.search(UNIT, again)
        assert again.links == {c.key: 1}
        assert again.failures == {b.key: 2 + int(DIAL_TIMEOUT_S)}
        assert lookups.wanted[1] == lookups.wanted[0] + 1

    play(scene)


def test_where_it_was_last_heard_is_tried_beside_what_was_told() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stale = contact_at(b, NOWHERE)
        lookups = ScriptedLookups([provider(b, stale)], heard={stale.node: b.address})
        finds = await search(world, a, lookups)
        assert finds.links == {b.key: 0}

    play(scene)


def test_who_is_near_a_provider_is_asked_when_all_that_was_told_is_stale() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        newest = contact_at(b, b.address, sequence=2)
        stale = provider(b, contact_at(b, NOWHERE))
        finds = await search(world, a, ScriptedLookups([stale], contacts={newest.node: newest}))
        assert list(finds.links) == [b.key]

    play(scene)


def test_a_provider_that_is_busy_is_not_looked_for_elsewhere() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        elsewhere = contact_at(b, NOWHERE, sequence=2)
        named = [provider(b, contact_at(b, b.address))]
        b.links._newcomers._busy = lambda _: True
        lookups = ScriptedLookups(named, contacts={elsewhere.node: elsewhere})
        finds = await search(world, a, lookups)
        assert finds.failures == {b.key: 0}

    play(scene)
