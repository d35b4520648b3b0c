"""Who provides a key: the provider records that this node keeps for others.

Every record is signed; the caller checks signatures, this room checks everything else.  A record
lives for its own lifetime from its arrival here and never beyond its ``expires``, when readers
cease to believe it, and nobody but its signer can renew it: whoever brings an old one again gives
it no new life.
"""

from __future__ import annotations

from collections.abc import Collection

from dhtstore.dht.core.record_rules import (
    Verdict,
    in_time,
    is_withdrawal,
    lasts,
    lifetime_s,
    not_ahead,
    provider_form,
)
from dhtstore.dht.core.stores.held import OURS, HeldRecord, Standing, rank_of
from dhtstore.dht.core.stores.key_places import first_to_go, named
from dhtstore.dht.core.stores.liveness import Liveness
from dhtstore.dht.core.stores.places import Places
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import (
    PROVIDER_RECORDS_MAX,
    PROVIDER_RECORDS_PER_PUBLISHER_MAX,
    PROVIDER_TTL_S,
    PROVIDERS_PER_KEY_MAX,
)

_Providers = dict[bytes, HeldRecord]


class ProviderStore:
    """Provider records, several per key: the newest of each provider.

    ``tick`` sets the time for all other methods.  A withdrawal stands in the place of the record
    that it took back, for as long as that one could be brought again.
    """

    __slots__ = ("_by_key", "_now", "_own_id", "_places", "_unix_s", "lives")

    def __init__(self, own_id: bytes) -> None:
        self._by_key: dict[bytes, _Providers] = {}
        self._own_id, self._places = own_id, Places(PROVIDER_RECORDS_MAX)
        self._now, self._unix_s = 0.0, 0.0
        self.lives = Liveness()

    @property
    def count(self) -> int:
        """How many records are held, withdrawals with them."""
        return self._places.count

    def tick(self, now: float, unix_s: float) -> None:
        """Set the time (``now`` in monotonic seconds) and drop some of what ended."""
        self._now, self._unix_s = now, unix_s
        for held in self._places.ended(now):
            self._drop(held)

    def verdict(self, record: ProviderRecord, standing: Standing = OURS) -> Verdict:
        """What ``add`` would answer; cheap, so ask before checking a signature."""
        if not provider_form(record):
            return Verdict.MALFORMED
        withdrawal = is_withdrawal(record)
        timely = not_ahead(record, self._unix_s) if withdrawal else self._in_time(record)
        if not timely:
            return Verdict.OUT_OF_TIME
        providers = self._by_key.get(record.key, {})
        held = providers.get(record.public_key)
        if held is not None:
            newer = record.sequence > held.record.sequence
            return Verdict.KEPT if newer or record == held.record else Verdict.HELD_NEWER
        if withdrawal:
            return Verdict.NOT_HELD
        return Verdict.KEPT if self._can_take(record, standing, providers) else Verdict.FULL

    def _in_time(self, record: ProviderRecord) -> bool:
        return in_time(record, PROVIDER_TTL_S, self._unix_s)

    def _can_take(self, record: ProviderRecord, standing: Standing, providers: _Providers) -> bool:
        if self._has_its_share(record, standing):
            return False
        if len(providers) >= PROVIDERS_PER_KEY_MAX:
            return self._first_to_go(providers, standing) is not None
        return not self._places.full or self._giving_way(record, standing) is not None

    def _has_its_share(self, record: ProviderRecord, standing: Standing) -> bool:
        """Whether a stranger has as many records here as one may."""
        most = PROVIDER_RECORDS_PER_PUBLISHER_MAX
        return not standing.ours and self.lives.records(record.public_key) >= most

    def _first_to_go(self, providers: _Providers, standing: Standing) -> HeldRecord | None:
        return first_to_go(providers.values(), standing, self.lives.silent)

    def _giving_way(self, record: ProviderRecord, standing: Standing) -> HeldRecord | None:
        crowd, rank = _crowd(record, standing), rank_of(self._own_id, record.key, standing)
        return self._places.giving_way(crowd, rank, ours=standing.ours)

    def holds(self, record: ProviderRecord) -> bool:
        """Whether exactly this record is held, so that its signature is already checked."""
        held = self._by_key.get(record.key, {}).get(record.public_key)
        return held is not None and bool(held.record == record)

    def add(self, record: ProviderRecord, standing: Standing = OURS) -> Verdict:
        """Keep a record whose signature was checked.  The same one again changes nothing, so
        repeating it does not lengthen its life."""
        verdict = self.verdict(record, standing)
        if verdict is Verdict.KEPT and not self.holds(record):
            self._put(record, standing)
        return verdict

    def restore(self, record: ProviderRecord, standing: Standing, left_s: float) -> bool:
        """Keep for at most ``left_s`` seconds what an earlier run kept; False if it is out of time
        or there is no place for it.  Its signature was checked, and when it came, that it was not
        issued ahead of us: a clock that is behind after a start must not cost all of them."""
        providers = self._by_key.get(record.key, {})
        if record.public_key in providers:
            return True  # what came since then is at least as new
        withdrawal = is_withdrawal(record)
        timely = withdrawal or lasts(record, PROVIDER_TTL_S, self._unix_s)
        fits = provider_form(record) and timely and self._can_take(record, standing, providers)
        left_s = min(left_s, PROVIDER_TTL_S if withdrawal else self._left_s(record))
        if fits and left_s > 0:
            self._make_room(record, standing, providers)
            self._enter(record, standing, self._now + left_s)
        return fits and left_s > 0

    def _put(self, record: ProviderRecord, standing: Standing) -> None:
        providers = self._by_key.get(record.key, {})
        old = providers.get(record.public_key)
        if old is not None:
            self._renew(old, record, standing)
            return
        self._make_room(record, standing, providers)
        self._enter(record, standing, self._now + self._left_s(record))

    def _make_room(self, record: ProviderRecord, standing: Standing, providers: _Providers) -> None:
        if len(providers) >= PROVIDERS_PER_KEY_MAX:
            self._drop(self._first_to_go(providers, standing))
        elif self._places.full:
            self._drop(self._giving_way(record, standing))

    def _left_s(self, record: ProviderRecord) -> float:
        """For how long readers will believe it, and no longer than it wants."""
        return min(lifetime_s(record), record.expires - self._unix_s)

    def _renew(self, old: HeldRecord, record: ProviderRecord, standing: Standing) -> None:
        """In the same place of the key's order."""
        if not standing.reached:
            standing = old.standing
        expires_s = self._now + self._left_s(record)
        if is_withdrawal(record):
            replayable_s = old.record.expires - self._unix_s  # until when receivers believe it
            expires_s = max(old.expires_s, self._now + replayable_s)
        self._places.leave(old)
        self._enter(record, standing, expires_s)
        if not old.withdrawn:
            self.lives.leave(record.public_key)

    def _enter(self, record: ProviderRecord, standing: Standing, expires_s: float) -> None:
        rank = rank_of(self._own_id, record.key, standing)
        held = HeldRecord(record, record.key, expires_s, standing, rank, _crowd(record, standing))
        held.withdrawn = is_withdrawal(record)
        self._by_key.setdefault(record.key, {})[record.public_key] = held
        self._places.enter(held)
        if not held.withdrawn:
            self.lives.enter(record.public_key, self._now)

    def _drop(self, held: HeldRecord | None) -> None:
        if held is None:
            return
        self._places.leave(held)
        if not held.withdrawn:
            self.lives.leave(held.record.public_key)
        providers = self._by_key[held.key]
        del providers[held.record.public_key]
        if not providers:
            del self._by_key[held.key]

    # --- who can be reached ----------------------------------------------------------------

    def contended(self, key: bytes) -> bool:
        """Whether places are scarce, of the key or of all: who wants one must prove more."""
        crowded = len(self._by_key.get(key, ())) * 2 >= PROVIDERS_PER_KEY_MAX
        return crowded or self._places.crowded

    def doubtful(self, key: bytes) -> ProviderRecord | None:
        """The oldest record of a key whose signer was not asked yet whether it can be reached."""
        for held in self._by_key.get(key, {}).values():
            if not (held.probed or held.withdrawn or held.standing.reached):
                record: ProviderRecord = held.record
                return record
        return None

    def asked(self, record: ProviderRecord) -> None:
        """The signer of a record was asked whether it can be reached: once is enough."""
        if self.holds(record):
            self._by_key[record.key][record.public_key].probed = True

    def reached(self, key: bytes, signer: bytes, standing: Standing) -> None:
        """The signer of a record answered at an address of that ``standing``."""
        held = self._by_key.get(key, {}).get(signer)
        if held is not None and held.standing != standing:
            self._places.leave(held)
            held.standing, held.rank = standing, rank_of(self._own_id, key, standing)
            held.crowd = _crowd(held.record, standing)
            self._places.enter(held)

    # --- what is known ---------------------------------------------------------------------

    def of_key(self, key: bytes) -> list[ProviderRecord]:
        """Records of a key whose signers are not silent, the best first (``key_places.named``)."""
        return named(self.all_of_key(key), self.lives, self._now)

    def all_of_key(self, key: bytes) -> Collection[HeldRecord]:
        """All that there are of a key, also those overdue and withdrawals."""
        return self._by_key.get(key, {}).values()

    def watch(self, changed: dict[bytes, None]) -> None:
        """From now on put down there the names of records that come and go."""
        self._places.changed = changed

    def of_signer(self, key: bytes, signer: bytes) -> HeldRecord | None:
        """What is kept of a key by that signer, a withdrawal too."""
        return self._by_key.get(key, {}).get(signer)

    def held(self) -> list[HeldRecord]:
        """All that there are, also those overdue and withdrawals."""
        return [held for records in self._by_key.values() for held in records.values()]


def _crowd(record: ProviderRecord, standing: Standing) -> bytes:
    """Strangers count by origin, since keys are free; those of our own site by publisher."""
    return record.public_key if standing.ours else standing.origin
