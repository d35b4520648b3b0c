"""The records this node keeps for others: who provides a key, and how to reach a node.

Every record is signed; the caller checks signatures, this room checks everything else.  A record
lives for its own lifetime from its arrival here, never by the publisher's clock, and nobody but
its signer can renew it, so nothing is immortal and nothing old comes back.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

from dhtstore.dht.core.record_rules import (
    Verdict,
    contact_form,
    in_time,
    lifetime_s,
    provider_form,
)
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import node_id
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import (
    CONTACT_RECORD_TTL_S,
    CONTACT_RECORDS_MAX,
    PROVIDER_RECORDS_MAX,
    PROVIDER_RECORDS_PER_PUBLISHER_MAX,
    PROVIDER_RECORDS_UNSHARED,
    PROVIDER_TTL_S,
    PROVIDERS_PER_KEY_MAX,
)


class _Held:
    __slots__ = ("arrived_s", "record")

    def __init__(self, record: Any, arrived_s: float) -> None:
        self.record, self.arrived_s = record, arrived_s

    @property
    def expires_s(self) -> float:
        return self.arrived_s + lifetime_s(self.record)


class _Expiry:
    """When to look at which entry: one item per entry, however often it is renewed."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[float, bytes, bytes]] = []

    def add(self, expires_s: float, key: bytes, signer: bytes) -> None:
        heapq.heappush(self._heap, (expires_s, key, signer))

    def due(self, now: float) -> Iterable[tuple[bytes, bytes]]:
        """Each entry once; whoever takes it adds it again if it was renewed."""
        return self._pop_due(now) if self._heap and self._heap[0][0] <= now else ()

    def _pop_due(self, now: float) -> Iterator[tuple[bytes, bytes]]:
        while self._heap and self._heap[0][0] <= now:
            _, key, signer = heapq.heappop(self._heap)
            yield key, signer


class ProviderStore:
    """Provider records, several per key: the newest of each provider.

    ``tick`` sets the time for all other methods; ``count`` is how many records are held.
    """

    __slots__ = ("_by_key", "_expiry", "_now", "_per_publisher", "_unix_s", "count")

    def __init__(self) -> None:
        self._by_key: dict[bytes, dict[bytes, _Held]] = {}
        self._per_publisher: dict[bytes, int] = {}
        self._expiry = _Expiry()
        self._now, self._unix_s = 0.0, 0.0
        self.count = 0

    def tick(self, now: float, unix_s: float) -> None:
        """Set the time (``now`` in monotonic seconds) and drop what expired."""
        self._now, self._unix_s = now, unix_s
        for key, signer in self._expiry.due(now):
            expires_s = self._by_key[key][signer].expires_s
            if expires_s <= now:
                self._drop(key, signer)
            else:
                self._expiry.add(expires_s, key, signer)

    def verdict(self, record: ProviderRecord) -> Verdict:
        """What ``add`` would answer; cheap, so ask before checking a signature."""
        if not provider_form(record):
            return Verdict.MALFORMED
        if not in_time(record, PROVIDER_TTL_S, self._unix_s):
            return Verdict.OUT_OF_TIME
        providers = self._by_key.get(record.key, {})
        held = providers.get(record.public_key)
        if held is not None:
            newer = record.sequence > held.record.sequence
            return Verdict.KEPT if newer or record == held.record else Verdict.HELD_NEWER
        return Verdict.KEPT if self._has_room(record, providers) else Verdict.FULL

    def _has_room(self, record: ProviderRecord, providers: dict[bytes, _Held]) -> bool:
        if len(providers) >= PROVIDERS_PER_KEY_MAX or self.count >= PROVIDER_RECORDS_MAX:
            return False
        contended = self.count >= PROVIDER_RECORDS_UNSHARED
        published = self._per_publisher.get(record.public_key, 0)
        return not contended or published < PROVIDER_RECORDS_PER_PUBLISHER_MAX

    def holds(self, record: ProviderRecord) -> bool:
        """Whether exactly this record is held, so that its signature is already checked."""
        held = self._by_key.get(record.key, {}).get(record.public_key)
        return held is not None and bool(held.record == record)

    def add(self, record: ProviderRecord) -> Verdict:
        """Keep a record whose signature was checked.  The same one again changes nothing, so
        repeating it does not lengthen its life."""
        verdict = self.verdict(record)
        if verdict is not Verdict.KEPT or self.holds(record):
            return verdict
        providers = self._by_key.setdefault(record.key, {})
        if record.public_key not in providers:
            self.count += 1
            published = self._per_publisher.get(record.public_key, 0)
            self._per_publisher[record.public_key] = published + 1
            self._expiry.add(self._now + lifetime_s(record), record.key, record.public_key)
        providers[record.public_key] = _Held(record, self._now)
        return verdict

    def _drop(self, key: bytes, signer: bytes) -> None:
        providers = self._by_key[key]
        del providers[signer]
        if not providers:
            del self._by_key[key]
        self.count -= 1
        self._per_publisher[signer] -= 1
        if not self._per_publisher[signer]:
            del self._per_publisher[signer]

    def of_key(self, key: bytes) -> list[ProviderRecord]:
        """Live records of a key, in the order in which their providers first appeared."""
        held = self._by_key.get(key, {}).values()
        return [h.record for h in held if h.expires_s > self._now]

    def expiries_s(self) -> list[float]:
        """When each record that is held ends (monotonic seconds), also those overdue."""
        return [held.expires_s for records in self._by_key.values() for held in records.values()]


class ContactStore:
    """The newest contact record of each node that entrusted us with one."""

    __slots__ = ("_by_node", "_expiry", "_now", "_unix_s")

    def __init__(self) -> None:
        self._by_node: dict[bytes, _Held] = {}
        self._expiry = _Expiry()
        self._now, self._unix_s = 0.0, 0.0

    @property
    def count(self) -> int:
        return len(self._by_node)

    def tick(self, now: float, unix_s: float) -> None:
        """Set the time (``now`` in monotonic seconds) and drop what expired."""
        self._now, self._unix_s = now, unix_s
        for node, _ in self._expiry.due(now):
            expires_s = self._by_node[node].expires_s
            if expires_s <= now:
                del self._by_node[node]
            else:
                self._expiry.add(expires_s, node, b"")

    def verdict(self, record: ContactRecord) -> Verdict:
        if not contact_form(record):
            return Verdict.MALFORMED
        if not in_time(record, CONTACT_RECORD_TTL_S, self._unix_s):
            return Verdict.OUT_OF_TIME
        held = self._by_node.get(record.node)
        if held is not None:
            newer = record.sequence > held.record.sequence
            return Verdict.KEPT if newer or record == held.record else Verdict.HELD_NEWER
        return Verdict.KEPT if self.count < CONTACT_RECORDS_MAX else Verdict.FULL

    def holds(self, record: ContactRecord) -> bool:
        held = self._by_node.get(record.node)
        return held is not None and bool(held.record == record)

    def add(self, record: ContactRecord) -> Verdict:
        """Keep a record whose signature was checked."""
        verdict = self.verdict(record)
        if verdict is Verdict.KEPT and not self.holds(record):
            if record.node not in self._by_node:
                self._expiry.add(self._now + lifetime_s(record), record.node, b"")
            self._by_node[record.node] = _Held(record, self._now)
        return verdict

    def get(self, node: bytes) -> ContactRecord | None:
        held = self._by_node.get(node)
        return held.record if held is not None and held.expires_s > self._now else None

    def of_provider(self, record: ProviderRecord) -> ContactRecord | None:
        return self.get(node_id(record.signer))
