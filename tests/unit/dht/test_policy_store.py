"""The policies that an index node keeps: the newest of each owner and root, for a while, of a
bounded number, and across a restart."""

from __future__ import annotations

from typing import Any

import pytest

from dhtstore.dht.core.record_rules import Verdict
from dhtstore.dht.core.stores import policy_store
from dhtstore.dht.core.stores.held import Standing
from dhtstore.dht.core.stores.places import Places
from dhtstore.dht.core.stores.policy_store import PolicyStore
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.signing import attach
from dhtstore.params import DAY_S, POLICY_TTL_S, TOMBSTONE_KEPT_S

NOW_UNIX_S = 1_800_000_000.0
NOW_MS = int(NOW_UNIX_S * 1000)
ALICE = b"a" * 32
STRANGER = Standing(b"192.0.2.0/24")


def policy(owner: bytes = ALICE, **fields: Any) -> Policy:
    usual = {"sequence": NOW_MS, "replicas": 3, "expires": 0, "removed": False}
    return attach(Policy(owner, Cid.of(b"root").raw, **{**usual, **fields}), bytes(64))


def store_at(now: float = 0.0) -> PolicyStore:
    store = PolicyStore(bytes(20))
    store.tick(now, NOW_UNIX_S + now)
    return store


def test_the_newest_of_an_owner_and_root_is_kept_whatever_the_order() -> None:
    old, new, removal = policy(), policy(replicas=5, sequence=NOW_MS + 1), policy(removed=True)
    for first, second, kept in ((old, new, new), (new, old, new), (old, removal, removal)):
        store = store_at()
        assert store.add(first) is Verdict.KEPT
        assert store.add(second) is (Verdict.KEPT if kept is second else Verdict.HELD_NEWER)
        assert store.get(old.key) == kept


def test_one_is_kept_for_its_time_since_it_was_last_brought() -> None:
    store, one = store_at(), policy()
    store.add(one)
    store.tick(POLICY_TTL_S - 60, NOW_UNIX_S)
    assert store.add(one) is Verdict.KEPT
    store.tick(2 * POLICY_TTL_S - 90, NOW_UNIX_S)
    assert store.get(one.key) == one
    store.tick(2 * POLICY_TTL_S, NOW_UNIX_S)
    assert store.get(one.key) is None


def test_who_brings_it_over_and_over_has_nothing_written() -> None:
    store, changed = store_at(), dict[bytes, None]()
    store.watch(changed)
    store.add(policy())
    changed.clear()
    for now in range(100):
        store.tick(float(now), NOW_UNIX_S)
        store.add(policy())
    assert changed == {}


@pytest.mark.parametrize(
    ("one", "verdict"),
    [
        (policy(expires=int(NOW_UNIX_S - TOMBSTONE_KEPT_S - 1)), Verdict.OUT_OF_TIME),
        (policy(expires=int(NOW_UNIX_S - TOMBSTONE_KEPT_S + 99)), Verdict.KEPT),
        (policy(removed=True, sequence=int(NOW_MS - 1000 * TOMBSTONE_KEPT_S)), Verdict.OUT_OF_TIME),
        (policy(removed=True, sequence=int(NOW_MS - 999 * TOMBSTONE_KEPT_S)), Verdict.KEPT),
        (policy(replicas=0), Verdict.MALFORMED),
        (policy(replicas=65), Verdict.MALFORMED),
        (policy(sequence=-1), Verdict.MALFORMED),
        (policy(b"short"), Verdict.MALFORMED),
    ],
)
def test_what_says_nothing_any_more_is_not_kept(one: Policy, verdict: Verdict) -> None:
    assert store_at().verdict(one) is verdict


def test_one_network_takes_no_places_that_others_want(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_store, "Places", lambda room: Places(8))
    store = store_at()
    for number in range(50):
        store.add(policy(b"%32d" % number), STRANGER)
    assert len(store.held()) == 8
    other = policy(b"o" * 32)
    assert store.add(other, Standing(b"198.51.100.0/24")) is Verdict.KEPT
    assert store.get(other.key) == other
    assert len(store.held()) == 8


def test_what_an_earlier_run_kept_is_taken_up_for_what_was_left() -> None:
    store, one = store_at(), policy()
    assert store.restore(one, STRANGER, DAY_S)
    assert not store.restore(policy(b"b" * 32), STRANGER, 0.0)
    store.tick(DAY_S + 60, NOW_UNIX_S)
    assert store.get(one.key) is None
