"""Links to the holders of a unit, by way of the DHT."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from dhtstore.dht.engine.harvest import Provider
from dhtstore.errors import DhtstoreError
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.model.unit import Unit
from dhtstore.node.context import Reach
from dhtstore.node.fetching.sources import Found
from dhtstore.node.links.link import Link
from dhtstore.params import DIAL_TIMEOUT_S, LOOKUP_TIMEOUT_S, PROVIDERS_ASKED

LATE_DIALS_GRACE_S = 0.2  # how long the first holder waits for the others before bytes flow


@dataclass(frozen=True, slots=True)
class DhtSources:
    """Implements ``sources.Sources``: providers from the DHT, dialled at once."""

    reach: Reach
    own_key: PublicKey
    found: dict[str, None] = field(default_factory=dict)  # nodes that links were made to
    failed: dict[str, str] = field(default_factory=dict)  # node -> why there is none to it

    async def for_unit(self, unit: Unit) -> Found:
        """Links to those that answered first; the others get a short grace, since a dead
        holder's dial takes seconds to fail and must not hold up the living.  Asked again, it
        comes back to those that failed only when there are no others."""
        providers = await self.reach.dht.find_providers(
            unit.key, wanted=PROVIDERS_ASKED + len(self.failed), timeout_s=LOOKUP_TIMEOUT_S
        )
        others = [p for p in providers if p.record.signer != self.own_key]
        others.sort(key=lambda p: format_node(node_id(p.record.signer)) in self.failed)
        race = _Race(self.reach)
        for provider in others[:PROVIDERS_ASKED]:
            race.enter(provider)
        outcome = await race.outcome()
        self.found.update(dict.fromkeys(format_node(link.node) for link in outcome.links))
        self.failed.update(outcome.causes)
        return outcome


class _Race:
    """Dials to several providers, taken as they succeed."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._links: list[Link] = []
        self._causes: dict[str, str] = {}
        self._dials: list[asyncio.Task[None]] = []
        self._progress = asyncio.Event()

    def enter(self, provider: Provider) -> None:
        self._dials.append(self._reach.tasks.spawn(self._dial(provider), "dial-holder"))

    async def outcome(self) -> Found:
        """Found when all dials have ended, or a grace after the first that succeeded."""
        while self._running() and not self._links:
            await self._progress.wait()
            self._progress.clear()
        await self._grace()
        return Found(list(self._links), dict(self._causes))

    def _running(self) -> bool:
        return any(not dial.done() for dial in self._dials)

    async def _grace(self) -> None:
        try:
            async with asyncio.timeout(LATE_DIALS_GRACE_S):
                while self._running():
                    await self._progress.wait()
                    self._progress.clear()
        except TimeoutError:
            return  # late ones stay pooled for the next lookup of this unit

    async def _dial(self, provider: Provider) -> None:
        key = provider.record.signer
        try:
            addresses = await self._addresses(provider)
            self._links.append(await self._reach.links.to(key, addresses, DIAL_TIMEOUT_S))
        except DhtstoreError as error:
            self._causes[format_node(node_id(key))] = str(error)
        finally:
            asyncio.get_running_loop().call_soon(self._progress.set)

    async def _addresses(self, provider: Provider) -> Sequence[Address]:
        if provider.contact is not None:
            return provider.contact.address_list()
        node = node_id(provider.record.signer)
        found = await self._reach.dht.find_contact(node, timeout_s=LOOKUP_TIMEOUT_S)
        return found.address_list() if found else ()
