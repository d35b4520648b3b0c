"""The record store: many providers a key, newest wins, everything ends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dhtstore import params
from dhtstore.dht.core import record_stores
from dhtstore.dht.core.record_rules import Verdict
from dhtstore.dht.core.record_stores import ContactStore, ProviderStore
from dhtstore.model.contact import ContactRecord
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import attach

UNIX_S = 1_800_000_000
HOUR_S = 3600
KEY = b"k" * 20


def record(
    provider: int = 1, *, sequence: int = 1, key: bytes = KEY, **changes: int
) -> ProviderRecord:
    issued = changes.get("issued", UNIX_S)
    expires = issued + changes.get("lifetime_s", HOUR_S)
    signer = provider.to_bytes(32, "big")
    return attach(ProviderRecord(key, signer, sequence, issued, expires), b"s" * 64)


def contact(node: int = 1, *, sequence: int = 1, **changes: Any) -> ContactRecord:
    base = ContactRecord(
        node.to_bytes(32, "big"),
        (("10.0.0.1", 1),),
        1,
        "",
        sequence,
        UNIX_S,
        UNIX_S + HOUR_S,
    )
    return attach(msgspec.structs.replace(base, **changes), b"s" * 64)


@pytest.fixture
def store() -> ProviderStore:
    made = ProviderStore()
    made.tick(0.0, UNIX_S)
    return made


def test_many_providers_of_a_key_live_side_by_side(store: ProviderStore) -> None:
    kept = [record(n) for n in range(1, 6)]
    assert [store.add(r) for r in kept] == [Verdict.KEPT] * 5
    assert store.of_key(KEY) == kept
    assert store.of_key(b"x" * 20) == []


def test_the_newest_sequence_wins_and_an_older_one_never_comes_back(store: ProviderStore) -> None:
    assert store.add(record(sequence=2)) is Verdict.KEPT
    assert store.add(record(sequence=1)) is Verdict.HELD_NEWER
    assert store.add(record(sequence=2, lifetime_s=2 * HOUR_S)) is Verdict.HELD_NEWER
    assert store.add(record(sequence=3)) is Verdict.KEPT
    assert [r.sequence for r in store.of_key(KEY)] == [3]
    assert store.count == 1


def test_a_record_ends_after_its_own_lifetime_from_arrival(store: ProviderStore) -> None:
    store.add(record())
    store.tick(HOUR_S - 1, UNIX_S + HOUR_S - 1)
    assert store.add(record()) is Verdict.KEPT  # repeating it does not lengthen its life
    store.tick(HOUR_S, UNIX_S)
    assert store.count == 0
    assert store.of_key(KEY) == []


def test_a_renewed_record_outlives_its_first_expiry_and_ends_once(store: ProviderStore) -> None:
    store.add(record())
    store.tick(HOUR_S - 1, UNIX_S)
    for sequence in range(2, 50):
        store.add(record(sequence=sequence))
    assert len(store._expiry._heap) == 1, "renewing adds nothing to the heap"
    store.tick(HOUR_S, UNIX_S)
    assert store.count == 1
    store.tick(2 * HOUR_S, UNIX_S)
    assert store.count == 0


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"issued": UNIX_S + int(params.RECORD_FUTURE_SKEW_MAX_S) + 1}, Verdict.OUT_OF_TIME),
        ({"issued": UNIX_S + int(params.RECORD_FUTURE_SKEW_MAX_S)}, Verdict.KEPT),
        ({"issued": UNIX_S - HOUR_S}, Verdict.OUT_OF_TIME),
        ({"lifetime_s": 0}, Verdict.OUT_OF_TIME),
        ({"lifetime_s": -1}, Verdict.OUT_OF_TIME),
        ({"lifetime_s": int(params.PROVIDER_TTL_S) + 1}, Verdict.OUT_OF_TIME),
        ({"issued": -1}, Verdict.MALFORMED),
    ],
    ids=str,
)
def test_times_are_checked(store: ProviderStore, changes: dict[str, int], verdict: Verdict) -> None:
    issued = changes.get("issued", UNIX_S)
    lifetime_s = changes.get("lifetime_s", HOUR_S)
    assert store.add(record(issued=issued, lifetime_s=lifetime_s)) is verdict
    assert store.count == (verdict is Verdict.KEPT)


def test_a_key_of_another_length_is_malformed(store: ProviderStore) -> None:
    assert store.add(record(key=b"short")) is Verdict.MALFORMED
    assert store.count == 0


def test_caps_hold_and_room_returns_with_expiry(
    store: ProviderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_stores, "PROVIDERS_PER_KEY_MAX", 3)
    monkeypatch.setattr(record_stores, "PROVIDER_RECORDS_PER_PUBLISHER_MAX", 2)
    monkeypatch.setattr(record_stores, "PROVIDER_RECORDS_UNSHARED", 2)
    monkeypatch.setattr(record_stores, "PROVIDER_RECORDS_MAX", 5)
    keys = [bytes((n,)) * 20 for n in range(4)]
    for key in keys[:2]:
        assert store.add(record(1, key=key)) is Verdict.KEPT
    assert store.add(record(1, key=keys[2])) is Verdict.FULL, "per publisher"
    for provider in (2, 3):
        assert store.add(record(provider, key=keys[0])) is Verdict.KEPT
    assert store.add(record(4, key=keys[0])) is Verdict.FULL, "per key"
    assert store.add(record(5, key=keys[3])) is Verdict.KEPT
    assert store.add(record(6, key=keys[3])) is Verdict.FULL, "in all"
    assert store.add(record(5, key=keys[3], sequence=2)) is Verdict.KEPT, "renewing still works"
    store.tick(HOUR_S, UNIX_S)
    assert store.count == 0
    assert store.add(record(1, key=keys[2])) is Verdict.KEPT


def test_each_record_says_when_it_ends(store: ProviderStore) -> None:
    store.add(record(1))
    store.tick(100.0, UNIX_S)
    store.add(record(2, lifetime_s=2 * HOUR_S))
    assert store.expiries_s() == [HOUR_S, 100 + 2 * HOUR_S]


def test_contact_records_newest_wins_and_they_end() -> None:
    store = ContactStore()
    store.tick(0.0, UNIX_S)
    assert store.add(contact(sequence=2)) is Verdict.KEPT
    assert store.add(contact(sequence=1)) is Verdict.HELD_NEWER
    assert store.get(contact().node) == contact(sequence=2)
    store.tick(HOUR_S, UNIX_S)
    assert (store.count, store.get(contact().node)) == (0, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"addresses": (("10.0.0.1", 1),) * (params.ADDRESSES_PER_TICKET_MAX + 1)},
        {"addresses": (("x" * 46, 1),)},
        {"addresses": (("10.0.0.1", 0),)},
        {"addresses": (("10.0.0.1", 65536),)},
        {"domain": "d" * (params.DOMAIN_LABEL_MAX_BYTES + 1)},
        {"capacity_bytes": -1},
        {"sequence": -1},
        {"public_key": b"k"},
    ],
)
def test_a_contact_record_beyond_its_limits_is_malformed(changes: dict[str, Any]) -> None:
    store = ContactStore()
    store.tick(0.0, UNIX_S)
    assert store.add(contact(**changes)) is Verdict.MALFORMED
    assert store.count == 0


def test_a_publisher_has_no_limit_of_its_own_while_there_is_room_for_others(
    store: ProviderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_stores, "PROVIDER_RECORDS_PER_PUBLISHER_MAX", 2)
    monkeypatch.setattr(record_stores, "PROVIDER_RECORDS_UNSHARED", 4)
    for number in range(4):
        assert store.add(record(1, key=bytes((number,)) * 20)) is Verdict.KEPT
    assert store.add(record(1, key=bytes((9,)) * 20)) is Verdict.FULL
    assert store.add(record(2, key=bytes((9,)) * 20)) is Verdict.KEPT
