"""Holders by way of the DHT: each provider is dialled as soon as the lookup names it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from dhtstore.dht.engine.harvest import FoundProviders, OnProvider, Provider
from dhtstore.errors import DhtstoreError, NoAddress, PeerRefused, Unreachable
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import DhtKey, NodeId, PublicKey, node_id
from dhtstore.model.unit import Unit
from dhtstore.node.fetching.search import Finds, SearchExtent
from dhtstore.node.links.link import Link
from dhtstore.node.links.pool import Links
from dhtstore.operations.explaining.causes import cause_of
from dhtstore.params import (
    DIAL_TIMEOUT_S,
    DIALS_STAGGER_S,
    LOOKUP_TIMEOUT_S,
    PROVIDERS_ASKED,
    PROVIDERS_PER_KEY_MAX,
)
from dhtstore.tasks import Supervisor, all_ended


class ProviderLookups(Protocol):
    """What is needed of the DHT."""

    async def find_providers(
        self, key: DhtKey, *, wanted: int, timeout_s: float, on_provider: OnProvider
    ) -> FoundProviders: ...

    async def find_contact(self, node: NodeId, *, timeout_s: float) -> ContactRecord | None: ...

    def address_of(self, node: NodeId) -> Address | None: ...


class DhtSearch:
    """The searches of one command.  ``own_key`` is passed over: what we hold we read ourselves."""

    def __init__(self, dht: ProviderLookups, links: Links, own_key: PublicKey) -> None:
        self.dht, self.links, self.own_key = dht, links, own_key

    async def search(self, unit: Unit, finds: Finds) -> None:
        """Dial PROVIDERS_ASKED of those that the lookup names, and one more for each that does not
        answer soon; first of all those that had no chance before: so many are asked for that some
        of them are left."""
        dials = _Dials(self, finds)
        try:
            found = await self.dht.find_providers(
                unit.key,
                wanted=min(PROVIDERS_PER_KEY_MAX, 2 * PROVIDERS_ASKED + len(finds.tried)),
                timeout_s=LOOKUP_TIMEOUT_S,
                on_provider=dials.named,
            )
            await dials.finish(found.providers)
            finds.searched(SearchExtent(found.extent(), found.asked, found.answered, found.expired))
        finally:
            await dials.close()


class _Dials:
    """Dials to the providers that one lookup names.  Who does not answer within DIALS_STAGGER_S
    may still do so, and keeps nobody else waiting."""

    def __init__(self, search: DhtSearch, finds: Finds) -> None:
        self._search, self._finds = search, finds
        self._tasks = Supervisor()
        self._dials: list[asyncio.Task[None]] = []
        self._waiting: deque[Provider] = deque()
        self._places = PROVIDERS_ASKED
        self._postponed: list[Provider] = []
        self._lookup_over = asyncio.Event()
        self._newest: dict[PublicKey, Provider] = {}
        self._tried: dict[PublicKey, dict[Address, None]] = {}

    def named(self, provider: Provider) -> None:
        """Dial a provider that the lookup has just named."""
        key = provider.record.signer
        if key == self._search.own_key or key in self._finds.banned or self._finds.waits(key):
            return
        if key in self._finds.tried:
            self._postponed.append(provider)
        else:
            self._enter(provider)

    async def finish(self, providers: Sequence[Provider]) -> None:
        """The lookup is over and found these: wait for what comes of the dials."""
        self._newest = {provider.record.signer: provider for provider in providers}
        self._lookup_over.set()
        for provider in sorted(self._postponed, key=self._gave_nothing):
            self._enter(provider)
        done = 0
        while done < len(self._dials):  # the end of one may have begun another
            done = len(self._dials)
            await all_ended(self._dials)
        for dial in self._dials:
            dial.result()  # raises what is no failure to reach somebody, but a defect

    async def close(self) -> None:
        """Wait for nobody any more."""
        await self._tasks.close()

    def _gave_nothing(self, provider: Provider) -> bool:
        return not self._finds.gave(provider.record.signer)

    def _enter(self, provider: Provider) -> None:
        self._waiting.append(provider)
        self._dial_next()

    def _dial_next(self) -> None:
        while self._places > 0 and self._waiting and not self._tasks.closed:
            self._places -= 1
            provider = self._waiting.popleft()
            self._finds.dialling(provider.record.signer)
            self._dials.append(self._tasks.spawn(self._dial(provider), "dial-holder"))

    def _make_place(self) -> None:
        self._places += 1
        self._dial_next()

    async def _dial(self, provider: Provider) -> None:
        key, loop = provider.record.signer, asyncio.get_running_loop()
        slow = loop.call_later(DIALS_STAGGER_S, self._make_place)
        try:
            link = await self._link(provider)
        except DhtstoreError as error:
            self._finds.unreached(key, cause_of(error), partial(self._again, provider))
            if not slow.cancelled() and slow.when() > loop.time():
                self._make_place()
        else:
            self._finds.connected(link)
        finally:
            slow.cancel()

    async def _link(self, provider: Provider) -> Link:
        """By the addresses that were told with the provider and the one it was last heard at, else
        by newer ones: the lookup may meet those before its end, or who is near the provider knows
        them."""
        key = provider.record.signer
        lost: DhtstoreError = NoAddress(f"no address of node {node_id(key).hex()} is known")
        tell = partial(self._finds.dialled, key)
        tried = self._tried.setdefault(key, {})
        for source in (self._told_at_once, self._told_by_the_lookup, self._told_near_it):
            addresses = [each for each in await source(provider) if each not in tried]
            if not addresses:
                continue
            tried.update(dict.fromkeys(addresses))
            try:
                return await self._search.links.to(key, addresses, DIAL_TIMEOUT_S, tell)
            except PeerRefused:
                raise  # the address is right
            except DhtstoreError as error:
                lost = error
        raise lost

    async def _again(self, provider: Provider) -> Link:
        """By the addresses that were tried, the search being over."""
        key = provider.record.signer
        tell = partial(self._finds.dialled, key)
        return await self._search.links.to(key, list(self._tried[key]), DIAL_TIMEOUT_S, tell)

    async def _told_at_once(self, provider: Provider) -> Sequence[Address]:
        last_heard = self._search.dht.address_of(node_id(provider.record.signer))
        return *self._told(provider.contact), *([last_heard] if last_heard else ())

    async def _told_by_the_lookup(self, provider: Provider) -> Sequence[Address]:
        await self._lookup_over.wait()
        newest = self._newest.get(provider.record.signer)
        if newest is None:
            return ()  # taken back, or silent as others say, which the lookup heard after naming it
        return self._told(newest.contact)

    async def _told_near_it(self, provider: Provider) -> Sequence[Address]:
        node = node_id(provider.record.signer)
        try:
            contact = await self._search.dht.find_contact(node, timeout_s=LOOKUP_TIMEOUT_S)
        except Unreachable:
            return ()  # why it could not be dialled says more
        return self._told(contact)

    def _told(self, contact: ContactRecord | None) -> Sequence[Address]:
        return self._search.links.followable(contact.address_list()) if contact else ()
