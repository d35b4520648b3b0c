"""How to reach a node: the contact records that nodes entrusted to this one."""

from __future__ import annotations

import math

from dhtstore.dht.core.record_rules import Verdict, contact_form, in_time, lasts, lifetime_s
from dhtstore.dht.core.stores.held import OURS, HeldRecord, Standing, rank_of
from dhtstore.dht.core.stores.places import Places
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import node_id
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import CONTACT_RECORD_TTL_S, CONTACT_RECORDS_MAX


class ContactStore:
    """The newest contact record of each node.  Where it is full, the most crowded origin gives
    way, and of that the nodes farthest from us: those near us have nobody else to ask."""

    __slots__ = ("_by_node", "_now", "_own_id", "_places", "_unix_s")

    def __init__(self, own_id: bytes) -> None:
        self._by_node: dict[bytes, HeldRecord] = {}
        self._own_id, self._places = own_id, Places(CONTACT_RECORDS_MAX)
        self._now, self._unix_s = 0.0, 0.0

    @property
    def count(self) -> int:
        return self._places.count

    @property
    def crowded(self) -> bool:
        """Whether places are scarce."""
        return self._places.crowded

    def tick(self, now: float, unix_s: float) -> None:
        """Set the time (``now`` in monotonic seconds) and drop some of what ended."""
        self._now, self._unix_s = now, unix_s
        for held in self._places.ended(now):
            self._drop(held)

    def verdict(self, record: ContactRecord, standing: Standing = OURS) -> Verdict:
        """What ``add`` would answer; cheap, so ask before checking a signature."""
        held = self._by_node.get(record.node)
        known = held is not None and record == held.record  # mostly, and its form was looked at
        if not known and not contact_form(record):
            return Verdict.MALFORMED
        if not in_time(record, CONTACT_RECORD_TTL_S, self._unix_s):
            return Verdict.OUT_OF_TIME
        if held is not None:
            newer = known or record.sequence > held.record.sequence
            return Verdict.KEPT if newer else Verdict.HELD_NEWER
        return Verdict.KEPT if self._has_room(record, standing) else Verdict.FULL

    def _has_room(self, record: ContactRecord, standing: Standing) -> bool:
        return not self._places.full or self._giving_way(record, standing) is not None

    def _giving_way(self, record: ContactRecord, standing: Standing) -> HeldRecord | None:
        rank = rank_of(self._own_id, record.node, standing)
        return self._places.giving_way(_crowd(standing), rank, ours=standing.ours)

    def holds(self, record: ContactRecord) -> bool:
        """Whether exactly this record is held, so that its signature is already checked."""
        held = self._by_node.get(record.node)
        return held is not None and bool(held.record == record)

    def add(self, record: ContactRecord, standing: Standing = OURS) -> Verdict:
        """Keep a record whose signature was checked."""
        verdict = self.verdict(record, standing)
        if verdict is Verdict.KEPT and not self.holds(record):
            self._put(record, standing)
        return verdict

    def restore(self, record: ContactRecord, standing: Standing, left_s: float) -> bool:
        """Keep for at most ``left_s`` seconds what an earlier run kept; False if it is out of time
        or there is no place for it.  Its signature was checked."""
        if record.node in self._by_node:
            return True  # what came since then is at least as new
        # Not whether it was issued ahead of us: our clock may be behind after a start.
        timely = left_s > 0 and lasts(record, CONTACT_RECORD_TTL_S, self._unix_s)
        fits = timely and contact_form(record) and self._has_room(record, standing)
        if fits:
            self._put(record, standing, left_s)
        return fits

    def watch(self, changed: dict[bytes, None]) -> None:
        """From now on put down there the names of records that come and go."""
        self._places.changed = changed

    def _put(self, record: ContactRecord, standing: Standing, left_s: float = math.inf) -> None:
        old = self._by_node.get(record.node)
        if old is not None:
            if not standing.reached:
                standing = old.standing
            self._places.leave(old)
        elif self._places.full:
            self._drop(self._giving_way(record, standing))
        rank = rank_of(self._own_id, record.node, standing)
        expires_s = self._now + min(left_s, lifetime_s(record))
        held = HeldRecord(record, record.node, expires_s, standing, rank, _crowd(standing))
        self._by_node[record.node] = held
        self._places.enter(held)

    def _drop(self, held: HeldRecord | None) -> None:
        if held is not None:
            self._places.leave(held)
            del self._by_node[held.key]

    def get(self, node: bytes) -> ContactRecord | None:
        held = self._by_node.get(node)
        return held.record if held is not None and held.expires_s > self._now else None

    def of_node(self, node: bytes) -> HeldRecord | None:
        """What is kept of that node."""
        return self._by_node.get(node)

    def held(self) -> list[HeldRecord]:
        """All that there are, also those overdue."""
        return list(self._by_node.values())

    def of_provider(self, record: ProviderRecord) -> ContactRecord | None:
        return self.get(node_id(record.signer))


def _crowd(standing: Standing) -> bytes:
    """Nodes of our own site are one crowd, which gives way to itself only."""
    return standing.origin
