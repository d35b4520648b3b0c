"""Units of a few bytes by the ten thousand: each is announced for as long as it is kept, so they
are counted, and shared as the disk is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pytest

from dhtstore.model.cid import Cid
from dhtstore.model.identity import DhtKey, PublicKey, dht_key
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.signing import attach
from dhtstore.params import GIB, NEWCOMER_AGE_S
from dhtstore.replication import admission
from dhtstore.replication.admission import Accept, Admission, Refusal, judge
from dhtstore.replication.promises import Promise, with_promised
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.memory import MemoryKeyValue

UNITS_MAX: Final = 400
OWN: Final = PublicKey(b"o" * 32)
RULE: Final = Admission(Accept.ANYONE, OWN, frozenset(), GIB, GIB)


@dataclass(slots=True)
class Disk:
    """All the room there may be."""

    table: MemoryKeyValue = field(default_factory=MemoryKeyValue)
    claims: Claims = field(init=False)
    now_unix_s: float = 0.0
    promises: list[Promise] = field(default_factory=list)
    offered: int = 1000

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.claims = Claims(self.table, own=OWN)

    def judged(self, one: Claim) -> Refusal | None:
        owner, key = PublicKey(one.policy.owner), dht_key(one.unit)
        promise = Promise(owner, one.origin, owner, key, 200, 1, own=owner == OWN)
        usage = self.claims.usage(owner, one.origin, self.now_unix_s, key=key)
        usage = with_promised(usage, self.promises, promise)
        return judge(RULE, promise.demand, usage, now_unix_s=self.now_unix_s)

    def takes(self, one: Claim) -> bool:
        refusal = self.judged(one)
        if refusal is not None:
            assert refusal.code == "units"
            assert "too many units" in refusal.reason
            return False
        self.claims.begin(one, None if one.policy.owner == OWN else self.now_unix_s)
        self.claims.put(one)
        return True

    def fill(self, owner: int, origin: str) -> int:
        """How many more it takes of one owner."""
        first = self.offered
        while self.takes(claim(self.offered, owner, origin)):
            self.offered += 1
        return self.offered - first


def claim(number: int, owner: int | bytes, origin: str) -> Claim:
    key = owner if isinstance(owner, bytes) else owner.to_bytes(32, "big")
    root = Cid.of(b"%d" % number).raw
    policy = attach(Policy(key, root, 1, 3, 0, removed=False), b"s" * 64)
    return Claim(root, (root,), False, 1, 1, policy, 200, origin)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(admission, "FOREIGN_UNITS_MAX", UNITS_MAX)
    return Disk()


def test_one_origin_has_a_sixteenth_and_newcomers_a_half(disk: Disk) -> None:
    """Else two networks would keep all that are new out, by units of a few bytes."""
    assert disk.fill(1, "192.0.2.0/24") == UNITS_MAX // 16
    assert disk.fill(2, "192.0.2.0/24") == 0
    taken = [disk.fill(3 + number, f"198.51.{number}.0/24") for number in range(8)]
    assert taken == [UNITS_MAX // 16] * 7 + [0]
    disk.now_unix_s = NEWCOMER_AGE_S + 1
    disk.restart()
    taken = [disk.fill(3, f"203.0.{number}.0/24") for number in range(9)]
    assert taken == [UNITS_MAX // 16] * 8 + [0], "there is room for no more to be announced"


def test_what_is_kept_already_may_be_put_again_and_ours_always(disk: Disk) -> None:
    disk.fill(1, "192.0.2.0/24")
    assert disk.takes(claim(1000, 1, "192.0.2.0/24"))
    assert not disk.takes(claim(1000, 2, "192.0.2.0/24")), "another owner's claim is another unit"
    assert all(disk.takes(claim(number, OWN, "192.0.2.0/24")) for number in range(UNITS_MAX))
    assert disk.takes(claim(9000, 9, "198.51.100.0/24")), "ours are not counted among theirs"


def test_what_goes_makes_room_and_promises_take_it(disk: Disk) -> None:
    origin = "192.0.2.0/24"
    disk.fill(1, origin)
    disk.claims.forget(claim(1000, 1, origin).unit)
    key = DhtKey(b"k" * 20)
    disk.promises = [Promise(PublicKey(b"p" * 32), origin, PublicKey(b"p" * 32), key, 200, 1)]
    assert disk.judged(claim(5000, 1, origin)) is not None
    disk.promises = []
    assert disk.takes(claim(5000, 1, origin))
    assert not disk.takes(claim(5001, 1, origin))
