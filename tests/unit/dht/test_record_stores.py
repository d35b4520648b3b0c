"""The record store: many providers a key, newest wins, everything ends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dhtstore import params
from dhtstore.dht.core.record_rules import Verdict
from dhtstore.dht.core.stores import contact_store, provider_store
from dhtstore.dht.core.stores.contact_store import ContactStore
from dhtstore.dht.core.stores.held import OURS, UNPROVED_SOURCE, Standing
from dhtstore.dht.core.stores.provider_store import ProviderStore
from dhtstore.model.contact import ContactRecord
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import attach

UNIX_S = 1_800_000_000
HOUR_S = 3600
KEY = b"k" * 20
OWN_ID = b"\xff" * 20
HERE, THERE, FAR = (Standing(name, reached=False) for name in (b"here", b"there", b"far"))


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
    made = ProviderStore(OWN_ID)
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
    assert len(store._places._expiry) == 1, "renewing adds nothing to what is due"
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
        ({"lifetime_s": 0}, Verdict.NOT_HELD),
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


def small(monkeypatch: pytest.MonkeyPatch, room: int) -> ProviderStore:
    monkeypatch.setattr(provider_store, "PROVIDER_RECORDS_MAX", room)
    made = ProviderStore(OWN_ID)
    made.tick(0.0, UNIX_S)
    return made


def near(bits: int) -> bytes:
    """A key that has that many leading bits in common with our own id."""
    return (int.from_bytes(OWN_ID, "big") ^ 1 << 159 - bits).to_bytes(20, "big")


def test_of_our_own_site_nobody_is_too_many_until_all_places_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = small(monkeypatch, 70)
    kept = [store.add(record(n)) for n in range(1, 66)]
    assert kept == [Verdict.KEPT] * 64 + [Verdict.FULL], "per key"
    for number in range(6):
        assert store.add(record(70, key=near(number))) is Verdict.KEPT
    assert store.add(record(71, sequence=1, key=b"x" * 20)) is Verdict.KEPT, "the publisher of six"
    assert store.count == 70
    assert store.add(record(71, sequence=2, key=b"x" * 20)) is Verdict.KEPT, "renewing still works"
    store.tick(HOUR_S, UNIX_S)
    assert store.count == 0


def test_strangers_never_make_our_own_site_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    store = small(monkeypatch, 4)
    for number in range(3):
        store.add(record(number, key=near(number)), OURS)
    assert store.add(record(5, key=near(5)), HERE) is Verdict.KEPT
    assert store.add(record(6, key=near(1)), HERE) is Verdict.FULL
    assert store.add(record(7, key=near(7)), OURS) is Verdict.KEPT, "in the place of a stranger"
    assert store.add(record(8, key=near(8)), THERE) is Verdict.FULL


def test_in_a_full_store_the_most_crowded_origin_gives_way_farthest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = small(monkeypatch, 6)
    for number in range(6):
        store.add(record(number, key=near(number)), HERE)
    assert store.add(record(9, key=near(0)), HERE) is Verdict.FULL, "its own would be the first"
    assert store.add(record(9, key=near(9)), HERE) is Verdict.KEPT, "nearer than its own farthest"
    assert store.add(record(8, key=near(0)), THERE) is Verdict.KEPT, "however far"
    left = {n for n in range(10) if store.of_key(near(n))}
    assert left == {0, 2, 3, 4, 5, 9}
    for number in (10, 11):
        assert store.add(record(number, key=near(1)), THERE) is Verdict.KEPT
    assert store.add(record(12, key=near(0)), THERE) is Verdict.FULL, "both have their half"


def test_of_our_own_site_the_publisher_of_most_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    store = small(monkeypatch, 6)
    for number in range(6):
        store.add(record(1, key=near(number)), OURS)
    assert store.add(record(2, key=near(0)), OURS) is Verdict.KEPT
    assert [r.public_key[-1] for r in store.of_key(near(0))] == [2]


def test_who_can_be_reached_stays_before_who_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    store = small(monkeypatch, 3)
    store.add(record(1, key=near(1)), Standing(b"here", reached=True))
    store.add(record(2, key=near(8)), HERE)
    store.add(record(3, key=near(9)), HERE)
    assert store.add(record(4, key=near(4)), Standing(b"here", reached=True)) is Verdict.KEPT
    assert [bool(store.of_key(near(n))) for n in (1, 4, 8, 9)] == [True, True, False, True]


def test_at_a_full_key_the_most_crowded_origin_gives_way_to_others(store: ProviderStore) -> None:
    for number in range(64):
        assert store.add(record(number), HERE) is Verdict.KEPT
    assert store.add(record(64), HERE) is Verdict.FULL
    assert store.add(record(65), THERE) is Verdict.KEPT
    assert record(0) not in store.of_key(KEY), "the oldest"
    for number in range(100, 200):
        store.add(record(number), THERE)
        store.add(record(1000 + number), FAR)
    origins = [r.public_key for r in store.of_key(KEY)]
    assert len(origins) == 64


def test_at_a_full_key_one_that_can_be_reached_beats_64_that_cannot(store: ProviderStore) -> None:
    for number in range(64):
        store.add(record(number), Standing(b"%d" % number))
    assert store.add(record(64), Standing(b"x")) is Verdict.FULL
    assert store.add(record(64), Standing(b"x", reached=True)) is Verdict.KEPT
    assert store.of_key(KEY)[0] == record(64), "and is named first"


def test_many_reached_ones_of_one_origin_leave_room_for_one_not_reached(
    store: ProviderStore,
) -> None:
    for number in range(64):
        store.add(record(number), Standing(b"lab", reached=True))
    assert store.add(record(64), HERE) is Verdict.KEPT


def test_those_of_unproved_sources_are_one_crowd(store: ProviderStore) -> None:
    for number in range(64):
        store.add(record(number), Standing(UNPROVED_SOURCE))
    for number in range(64, 64 + 32):
        assert store.add(record(number), Standing(b"%d" % number)) is Verdict.KEPT


def test_each_origin_is_named_once_before_one_is_named_twice(store: ProviderStore) -> None:
    for number in range(6):
        store.add(record(number), HERE)
    store.add(record(6), THERE)
    assert [r.public_key[-1] for r in store.of_key(KEY)] == [0, 6, 1, 2, 3, 4, 5]


def test_who_answers_later_moves_up(store: ProviderStore) -> None:
    for number in range(40):
        store.add(record(number), HERE)
    assert store.contended(KEY)
    assert store.doubtful(KEY) == record(0)
    store.asked(record(0))
    assert store.doubtful(KEY) == record(1), "each is asked once"
    store.reached(KEY, record(1).public_key, Standing(b"there", reached=True))
    assert store.of_key(KEY)[0] == record(1)


def test_what_ends_together_is_dropped_bit_by_bit(store: ProviderStore) -> None:
    for number in range(1000):
        store.add(record(1, key=number.to_bytes(20, "big")))
    store.tick(HOUR_S, UNIX_S)
    assert 0 < store.count < 1000
    assert store.of_key((999).to_bytes(20, "big")) == [], "though it is still there"
    for _ in range(10):
        store.tick(HOUR_S, UNIX_S)
    assert store.count == 0


# --- taken back ---------------------------------------------------------------------------------


def taken_back(sequence: int, **changes: Any) -> ProviderRecord:
    return record(sequence=sequence, lifetime_s=0, **changes)


def test_a_withdrawn_record_is_named_no_more_and_does_not_come_back(store: ProviderStore) -> None:
    store.add(record(sequence=3))
    assert store.add(taken_back(2)) is Verdict.HELD_NEWER
    assert store.add(taken_back(4)) is Verdict.KEPT
    assert store.of_key(KEY) == []
    assert store.add(record(sequence=3)) is Verdict.HELD_NEWER, "not while it could be replayed"
    store.tick(HOUR_S - 1, UNIX_S + HOUR_S - 1)
    assert store.add(record(sequence=3)) is Verdict.OUT_OF_TIME or store.count == 1
    assert store.add(record(sequence=5, issued=UNIX_S + HOUR_S)) is Verdict.KEPT, "a newer one"
    assert len(store.of_key(KEY)) == 1


def test_a_withdrawal_is_forgotten_with_what_it_took_back(store: ProviderStore) -> None:
    store.add(record(sequence=3))
    store.add(taken_back(4))
    store.tick(HOUR_S + 10, UNIX_S + HOUR_S + 10)
    assert store.count == 0
    assert store.add(record(sequence=3)) is Verdict.OUT_OF_TIME


def test_a_withdrawal_stays_while_our_slow_clock_would_believe_a_replay(
    store: ProviderStore,
) -> None:
    store.add(record(sequence=3, issued=UNIX_S + 600))
    store.tick(100.0, UNIX_S)  # the wall clock was set back
    store.add(taken_back(4, issued=UNIX_S + 700))
    store.tick(100.0 + HOUR_S + 500, UNIX_S + HOUR_S + 500)
    assert store.add(record(sequence=3, issued=UNIX_S + 600)) is Verdict.HELD_NEWER


def test_nothing_is_kept_of_a_withdrawal_of_what_is_not_held(store: ProviderStore) -> None:
    assert store.add(taken_back(4)) is Verdict.NOT_HELD
    assert store.count == 0
    far_ahead = UNIX_S + int(params.RECORD_FUTURE_SKEW_MAX_S) + 1
    assert store.add(taken_back(4, issued=far_ahead)) is Verdict.OUT_OF_TIME


def test_a_withdrawal_is_the_first_to_go_at_a_full_key(store: ProviderStore) -> None:
    for number in range(64):
        store.add(record(number), Standing(b"%d" % number, reached=True))
    store.add(record(5, sequence=2, lifetime_s=0), Standing(b"5"))
    assert store.add(record(99), Standing(b"99")) is Verdict.KEPT
    assert len(store.of_key(KEY)) == 64


def test_each_record_says_when_it_ends(store: ProviderStore) -> None:
    store.add(record(1))
    store.tick(100.0, UNIX_S)
    store.add(record(2, lifetime_s=2 * HOUR_S))
    assert [held.expires_s for held in store.held()] == [HOUR_S, 100 + 2 * HOUR_S]


def test_contact_records_newest_wins_and_they_end() -> None:
    store = ContactStore(OWN_ID)
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
        {"addresses": (("example.org", 1),)},
        {"addresses": (("10.0.0.1", 0),)},
        {"addresses": (("10.0.0.1", 65536),)},
        {"domain": "d" * (params.DOMAIN_LABEL_MAX_BYTES + 1)},
        {"capacity_bytes": -1},
        {"sequence": -1},
        {"public_key": b"k"},
    ],
)
def test_a_contact_record_beyond_its_limits_is_malformed(changes: dict[str, Any]) -> None:
    store = ContactStore(OWN_ID)
    store.tick(0.0, UNIX_S)
    assert store.add(contact(**changes)) is Verdict.MALFORMED
    assert store.count == 0


def test_a_full_store_of_contacts_keeps_those_near_and_each_origins_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contact_store, "CONTACT_RECORDS_MAX", 40)
    store = ContactStore(OWN_ID)
    store.tick(0.0, UNIX_S)
    for node in range(40):
        assert store.add(contact(node), HERE) is Verdict.KEPT
    others = [contact(node) for node in range(100, 119)]
    assert [store.add(one, THERE) for one in others] == [Verdict.KEPT] * 19
    assert store.count == 40
    assert all(store.get(one.node) for one in others)
    farthest = min(contact(n).node for n in range(40))  # our own id is all ones
    assert store.get(farthest) is None
