"""Keys cost nothing: how much of a disk whoever makes them by the thousand can take, by whatever
way the offers come, against the ledger and the rule that a holder judges by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dhtstore.model.cid import Cid
from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.signing import attach
from dhtstore.params import MIB, NEWCOMER_AGE_S
from dhtstore.replication.admission import Accept, Admission, Refusal, judge
from dhtstore.replication.promises import Promise, with_promised
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.memory import MemoryKeyValue

CAPACITY_BYTES = 400 * MIB
UNIT_BYTES = MIB
OWN = PublicKey(b"o" * 32)
RULE = Admission(Accept.ANYONE, OWN, frozenset(), CAPACITY_BYTES // 2, CAPACITY_BYTES)


@dataclass(slots=True)
class Disk:
    """What a holder knows when it judges; nothing is too small to be noticed."""

    claims: Claims = field(default_factory=lambda: Claims(MemoryKeyValue()))
    promises: list[Promise] = field(default_factory=list)
    stored_bytes: int = 0
    now_unix_s: float = 0.0
    units: int = 0

    def judged(self, owner: int, origin: str, *, unit: int | None = None) -> Promise | Refusal:
        """A promise for another unit, or a refusal."""
        self.units += 1
        name = self.units if unit is None else unit
        owner_key = PublicKey(owner.to_bytes(32, "big"))
        key = DhtKey(name.to_bytes(20, "big"))
        promise = Promise(owner_key, origin, owner_key, key, UNIT_BYTES, 2)
        usage = self.claims.usage(owner_key, origin, self.now_unix_s)
        usage = replace(usage, used_bytes=self.stored_bytes + self.claims.ledger_bytes())
        promise = replace(promise, new=usage.new)
        judged_by = with_promised(usage, self.promises, promise)
        refusal = judge(RULE, promise.demand, judged_by, now_unix_s=self.now_unix_s)
        return refusal or promise

    def stores(self, owner: int, origin: str) -> bool:
        """Whether it takes another unit, which it then has."""
        promise = self.judged(owner, origin)
        if isinstance(promise, Refusal):
            return False
        self.claims.begin(claim_of(promise), self.now_unix_s)
        self.claims.put(claim_of(promise))
        self.stored_bytes += promise.stored_bytes
        return True

    def fill(self, origins: list[str], *, of: range = range(1000)) -> float:
        """The part of the capacity that lasts once each of these keys has stored all it can."""
        before_bytes = self.stored_bytes
        for owner in of:
            origin = origins[owner % len(origins)]
            while self.stores(owner, origin):
                pass
        return (self.stored_bytes - before_bytes) / CAPACITY_BYTES


def claim_of(promise: Promise) -> Claim:
    root = Cid.of(promise.key).raw
    policy = attach(Policy(promise.owner, root, 1, 3, 0, removed=False), b"s" * 64)
    stored_bytes, origin = promise.stored_bytes, promise.origin
    return Claim(promise.key, (root,), False, 1, 2, policy, stored_bytes, origin)


def origins(count: int) -> list[str]:
    return [f"198.51.{number}.0/24" for number in range(count)]


def test_a_thousand_keys_of_one_origin_have_a_quarter() -> None:
    assert 0.24 < Disk().fill(origins(1)) <= 0.25


def test_new_keys_of_many_origins_have_a_half_and_others_the_rest() -> None:
    disk = Disk()
    disk.stores(5000, "203.0.113.0/24")
    disk.now_unix_s = NEWCOMER_AGE_S + 1
    assert 0.49 < disk.fill(origins(50)) <= 0.5
    assert 0.2 < disk.fill(["203.0.113.0/24"], of=range(5000, 5001)) <= 0.25


def test_a_key_grows_up_by_a_claim_that_lasts_and_not_by_waiting() -> None:
    disk = Disk()
    disk.fill(origins(50))
    disk.now_unix_s = NEWCOMER_AGE_S - 1
    assert disk.fill(origins(50), of=range(2000, 2100)) == 0
    disk.now_unix_s = NEWCOMER_AGE_S
    assert disk.fill(origins(50), of=range(2000, 2100)) > 0


def test_the_last_tenth_is_never_theirs() -> None:
    disk = Disk()
    for week in range(5):
        disk.now_unix_s = week * (NEWCOMER_AGE_S + 1)
        disk.fill(origins(50), of=range(week * 1000, week * 1000 + 100))
    assert 0.89 * CAPACITY_BYTES < disk.stored_bytes <= 0.9 * CAPACITY_BYTES


def test_shares_are_not_split_over_many_offers_in_flight() -> None:
    """All are offered before one of them is fetched."""
    disk = Disk()
    for owner in range(1000):
        promise = disk.judged(owner, "198.51.100.0/24")
        if isinstance(promise, Promise):
            disk.promises.append(promise)
    assert 90 < len(disk.promises) <= 100


def test_a_smaller_offer_of_the_same_unit_does_not_hide_a_larger() -> None:
    disk = Disk()
    large = disk.judged(1, "198.51.100.0/24", unit=7)
    assert isinstance(large, Promise)
    disk.promises += [large, replace(large, stored_bytes=1000)]
    usage = with_promised(disk.claims.usage(large.owner, large.origin, 0), disk.promises, OTHER)
    assert usage.origin_bytes > UNIT_BYTES


OTHER = Promise(OWN, "198.51.100.0/24", OWN, DhtKey(bytes(20)), UNIT_BYTES, 2)
