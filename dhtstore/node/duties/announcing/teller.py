"""Tells the network of units by their names, which are in the order of their keys."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dhtstore.dht.core.record_rules import Published
from dhtstore.dht.core.sweeping.seen import SeenNodes
from dhtstore.errors import DhtstoreError
from dhtstore.model.cid import Cid
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import DhtKey, dht_key
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.unit import Unit, unit_text
from dhtstore.net.ports import Clock
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.copies.kept import Named
from dhtstore.node.identity import Identity
from dhtstore.node.traffic.retries import Retries
from dhtstore.params import (
    LOOKUP_TIMEOUT_S,
    REPROVIDE_PAUSE_S,
    SWEPT_AT_ONCE,
    SWEPT_SEEN_MAX_S,
    SWEPT_TIMEOUT_S,
)
from dhtstore.trace import Tracer


class Announcements(Protocol):
    """As much of the DHT as announcing needs."""

    async def publish_contact(self, timeout_s: float) -> int: ...

    async def explore(self, key: DhtKey, *, timeout_s: float) -> SeenNodes: ...

    async def provide_many(
        self, seen: SeenNodes, keys: Sequence[DhtKey], *, timeout_s: float
    ) -> tuple[list[Published], SeenNodes]: ...

    async def provide(
        self,
        key: DhtKey,
        records: Sequence[tuple[ProviderRecord, ContactRecord]],
        *,
        timeout_s: float,
    ) -> Sequence[Published]: ...


@dataclass(slots=True)
class Sight:
    """What was seen last of the key space, by who goes through it in order."""

    seen: SeenNodes | None = None


@dataclass(slots=True)
class Teller:
    """``pinned`` are roots of what is kept because it is pinned, by name; ``lacking`` tells of how
    many units of a name blocks were missing when last looked at.  Names that are ``quiet`` are told
    to nobody.  ``taken`` counts units whose record an index node took, ``lookups`` what that
    cost."""

    identity: Identity
    dht: Announcements
    clock: Clock
    tracer: Tracer
    completeness: Completeness
    retries: Retries
    pinned: dict[bytes, Cid] = field(default_factory=dict)
    lacking: dict[bytes, int] = field(default_factory=dict)
    quiet: set[bytes] = field(default_factory=set)
    taken: int = 0
    lookups: int = 0

    async def tell(self, names: Sequence[bytes], sight: Sight) -> bool:
        """Announce those of ``names`` that are kept whole; False when nobody answers, which is no
        word on any of them.  What is not taken is tried again."""
        at = 0
        while at < len(names):
            keys = [dht_key(name) for name in names[at : at + SWEPT_AT_ONCE]]
            seen = await self._look(keys[0], sight)
            if seen is None:
                return False
            count = seen.covered(keys)
            await self._tell_some(names[at : at + count], sight, seen)
            at += count
        return True

    def sees(self, names: Sequence[bytes], sight: Sight) -> bool:
        """Whether no lookup is needed for any of them."""
        seen = sight.seen
        if seen is None or not self._fresh(seen):
            return False
        return all(seen.covers(dht_key(name)) for name in names)

    def _fresh(self, seen: SeenNodes) -> bool:
        return self.clock.monotonic_s() - seen.seen_s < SWEPT_SEEN_MAX_S

    async def _look(self, key: DhtKey, sight: Sight) -> SeenNodes | None:
        seen = sight.seen
        if seen is not None and self._fresh(seen) and seen.covers(key):
            return seen
        try:
            sight.seen = await self.dht.explore(key, timeout_s=LOOKUP_TIMEOUT_S)
        except DhtstoreError as error:
            self.tracer("reprovide.failed", what=f"key {key.hex()}", error=str(error))
            return None
        self.lookups += sight.seen.lookups
        return sight.seen

    async def _tell_some(self, names: Sequence[bytes], sight: Sight, seen: SeenNodes) -> None:
        """One is looked at after another, with a pause, so that neither the disk nor the network
        sees a burst.  That takes a while: what was given up meanwhile is not announced."""
        whole = {name: count for name in names if (count := await self._whole(name))}
        run = self.completeness.disk.blocking.run
        kept = await run(self._still_kept, list(whole))
        if not kept:
            return
        keys = [dht_key(name) for name in kept]
        told, sight.seen = await self.dht.provide_many(seen, keys, timeout_s=SWEPT_TIMEOUT_S)
        for name, published in zip(kept, told, strict=True):
            if self.tried(name, published):
                self.taken += whole[name]

    async def _whole(self, name: bytes) -> int:
        """How many units of that name are kept here; 0 if blocks of any of them are missing."""
        await asyncio.sleep(REPROVIDE_PAUSE_S)
        units = await self.completeness.disk.blocking.run(self._units, name)
        lacking = sum([bool(await self.completeness.lack(unit)) for unit in units])
        if lacking:
            self.lacking[name] = lacking
        else:
            self.lacking.pop(name, None)
        if lacking or not units:
            self.retries.done(name)
            return 0
        return len(units)

    def _still_kept(self, names: Sequence[bytes]) -> list[bytes]:
        return [name for name in names if self._units(name)]

    def _units(self, name: bytes) -> list[Unit]:
        """For worker threads."""
        if name in self.quiet:
            return []
        named = Named(name, self.pinned.get(name))
        return self.completeness.named(named, self.identity.now_unix_s())

    def tried(self, name: bytes, published: Published) -> bool:
        """What came of announcing ``name``: whether an index node has its record."""
        if published.holders:
            self.retries.done(name)
            return True
        if published.refusals:
            self.tracer("reprovide.refused", what=unit_text(name), why=published.why_not)
        else:
            self.tracer("reprovide.failed", what=unit_text(name), error="nobody answered")
        self.retries.failed(name, self.clock.monotonic_s())
        return False
