"""The records kept for others, whatever comes in whatever order: what is bounded stays so, and what
was taken back stays away."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dhtstore.dht.core.record_rules import Verdict
from dhtstore.dht.core.stores import key_places, provider_store
from dhtstore.dht.core.stores.held import Standing
from dhtstore.dht.core.stores.provider_store import ProviderStore
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import attach

UNIX_S = 1_800_000_000
HOUR_S = 3600
IN_ALL, OF_A_KEY, OF_A_SIGNER, OF_AN_ORIGIN = 20, 6, 5, 1
keys = st.sampled_from([bytes([n]) * 20 for n in range(8)])
signers = st.sampled_from([bytes([n]) * 32 for n in range(12)])
strangers = st.builds(
    Standing, st.sampled_from([b"a", b"b", b"c", b"d", b"?"]), reached=st.booleans()
)


class ProviderStoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(provider_store, "PROVIDER_RECORDS_MAX", IN_ALL)
        self.patch.setattr(provider_store, "PROVIDERS_PER_KEY_MAX", OF_A_KEY)
        self.patch.setattr(provider_store, "PROVIDER_RECORDS_PER_PUBLISHER_MAX", OF_A_SIGNER)
        self.patch.setattr(key_places, "PROVIDERS_PER_ORIGIN_MAX", OF_AN_ORIGIN)
        self.store, self.now = ProviderStore(b"\xff" * 20), 0.0
        self.changed: dict[bytes, None] = {}
        self.store.watch(self.changed)
        self.store.tick(0.0, UNIX_S)
        self.highest: dict[tuple[bytes, bytes], int] = {}

    def teardown(self) -> None:
        self.patch.undo()

    @rule(
        key=keys, signer=signers, sequence=st.integers(0, 8), standing=strangers,
        age_s=st.integers(-HOUR_S, 50 * HOUR_S), lifetime_s=st.integers(-5, 50 * HOUR_S),
    )  # fmt: skip
    def a_record_comes(
        self, key: bytes, signer: bytes, sequence: int, standing: Standing,
        age_s: int, lifetime_s: int,
    ) -> None:  # fmt: skip
        issued = UNIX_S + int(self.now) - age_s
        expires = issued + max(0, lifetime_s)
        record = attach(ProviderRecord(key, signer, sequence, issued, expires), b"s" * 64)
        before = self.store.of_signer(key, signer)
        verdict = self.store.add(record, standing)
        after = self.store.of_signer(key, signer)
        if verdict is Verdict.KEPT:
            assert after is not None
            assert after.record == record
        elif before is not None:
            assert after is before

    @rule(signer=signers, places=st.integers(1, 2))
    def a_provider_is_silent(self, signer: bytes, places: int) -> None:
        self.store.lives.failed(signer, self.now, places)

    @rule(signer=signers, pong=st.booleans())
    def a_provider_lives(self, signer: bytes, pong: bool) -> None:
        self.store.lives.proved(signer, self.now, pong=pong)

    @rule(left_s=st.integers(1, 50 * HOUR_S), standing=strangers, key=keys)
    def a_run_begins_with_what_another_kept(
        self, left_s: int, standing: Standing, key: bytes
    ) -> None:
        earlier = list(self.store.all_of_key(key))
        for held in earlier:
            assert self.store.restore(held.record, standing, left_s)
        assert list(self.store.all_of_key(key)) == earlier

    @rule(passes_s=st.integers(1, 20 * HOUR_S))
    def time_passes(self, passes_s: int) -> None:
        self.now += passes_s
        self.store.tick(self.now, UNIX_S + self.now)
        self.store.tick(self.now, UNIX_S + self.now)

    @invariant()
    def all_bounds_hold(self) -> None:
        held = self.store.held()
        assert self.store.count == len(held) <= IN_ALL
        assert max(Counter(one.key for one in held).values(), default=0) <= OF_A_KEY
        standing = Counter(one.record.public_key for one in held if not one.withdrawn)
        assert max(standing.values(), default=0) <= OF_A_SIGNER
        assert len(self.store.lives) == len(standing)
        for signer, count in standing.items():
            assert self.store.lives.records(signer) == count

    @invariant()
    def nothing_outlives_what_readers_believe(self) -> None:
        for one in self.store.held():
            if not one.withdrawn:
                assert one.expires_s <= one.record.expires - UNIX_S

    @invariant()
    def nothing_older_comes_back_while_a_newer_word_is_remembered(self) -> None:
        held = {(one.key, one.record.public_key): one.record.sequence for one in self.store.held()}
        for name, sequence in held.items():
            assert sequence >= self.highest.get(name, 0)
        self.highest = held

    @invariant()
    def only_those_are_named_that_are_in_time_and_not_silent_nor_taken_back(self) -> None:
        for one in self.store.held():
            lives = not self.store.lives.silent(one.record.public_key)
            there = lives and not one.withdrawn and one.expires_s > self.now
            assert (one.record in self.store.of_key(one.key)) == there


TestProviderStore = ProviderStoreMachine.TestCase
TestProviderStore.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
