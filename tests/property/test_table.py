"""The routing table, whatever happens to it in whatever order."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from kademlia.node import Node

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.refresh import buckets_with_room, random_id_in_bucket, silent
from dhtstore.dht.core.table import QUESTIONABLE_AFTER_S, Table
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.params import (
    BUCKET_REFRESH_INTERVAL_S,
    BUCKET_REPLACEMENTS_MAX,
    NODES_PER_SITE_MAX,
    PEER_FAILURES_MAX,
)

OWN = Node(bytes(20))
KSIZE = 4
_rng = random.Random(1)
PEERS: list[Peer] = [
    peer_of(
        Contact.of(
            PublicKey(_rng.randbytes(32)),
            Address(f"8.8.{i % 30}.1" if i % 3 else f"10.0.0.{i}", 7400 + i % 2),
        )
    )
    for i in range(90)
]
# One for each bucket that the peers above can fill, at an address of its own.
NEWCOMERS: list[Peer] = [
    peer_of(Contact.of(PublicKey(_rng.randbytes(32)), Address("9.9.9.9", 7400))) for _ in range(400)
]
peers = st.sampled_from(PEERS)
targets = st.binary(min_size=20, max_size=20)


class TableMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table = Table(OWN, KSIZE)
        self.now = 0.0
        self.answered: set[bytes] = set()
        self.silent: dict[bytes, int] = {}

    @rule(peer=peers, rtt_s=st.none() | st.floats(0.001, 2), pong=st.booleans())
    def a_peer_answers(self, peer: Peer, rtt_s: float | None, pong: bool) -> None:
        had_room, known = self.table.has_room_for(peer, self.now), self.table.get(peer) is not None
        was_full = not had_room and not known
        barred = self.table.silences.bars(peer, self.now) and not pong
        suspect = self.table.answered(peer, self.now, rtt_s, pong=pong)
        self.answered.add(peer.id)
        if suspect is not None:
            assert was_full
            found = self.table.entry(suspect)
            assert found is not None
            assert self.now - found[0].heard_s[found[1]] >= QUESTIONABLE_AFTER_S
        entry = self.table.entry(peer)
        assert (entry is not None) == (had_room or known) or barred
        if entry is not None:
            assert entry[0].peers[entry[1]].address == peer.address
            if not pong:
                self.silent.pop(peer.id, None)
            assert entry[1] == len(entry[0]) - 1, "whoever is heard is at the tail"

    @rule(peer=peers, host=st.sampled_from(["8.8.1.1", "8.8.2.1"]))
    def a_peer_answers_from_elsewhere(self, peer: Peer, host: str) -> None:
        key, port = peer.contact.public_key, peer.address.port
        self.a_peer_answers(peer_of(Contact.of(key, Address(host, port))), None, False)

    @rule(peer=peers)
    def a_peer_is_silent(self, peer: Peer) -> None:
        entry = self.table.get(peer)
        known = entry is not None and entry.address == peer.address
        new = peer in self.table.newcomers and len(self.table) > 1
        gone = self.table.failed(peer, self.now)
        if known:
            self.silent[peer.id] = self.silent.get(peer.id, 0) + 1
            assert gone == (new or self.silent[peer.id] >= PEER_FAILURES_MAX)
        if gone:
            assert self.table.get(peer) is None
            del self.silent[peer.id]

    @rule(seconds=st.floats(0, 2000))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(sought=targets, k=st.integers(1, 12))
    def neighbours_are_exact(self, sought: bytes, k: int) -> None:
        number = int.from_bytes(sought, "big")
        expected = sorted(self.table, key=lambda p: p.long_id ^ number)[:k]
        assert self.table.closest(number, k) == expected

    @rule()
    def a_snapshot_fills_another_table_alike(self) -> None:
        snapshot, other = self.table.snapshot(), Table(OWN, KSIZE)
        other.restore(snapshot)
        assert other.snapshot() == snapshot
        assert list(other) == list(self.table)
        held = [len(bucket or ()) for bucket in self.table.buckets]
        assert snapshot.sizes() == held

    @rule()
    def an_hour_of_silence_is_noticed(self) -> None:
        due = {
            peer.id
            for bucket in self.table.buckets
            if bucket is not None
            for peer, heard_s in zip(bucket.peers, bucket.heard_s, strict=True)
            if self.now - heard_s >= BUCKET_REFRESH_INTERVAL_S
        }
        assert {peer.id for peer in silent(self.table, self.now)} == due

    @rule()
    def buckets_to_fill_have_room_and_reach_to_the_nearest(self) -> None:
        nearest = self.table.closest(OWN.long_id, KSIZE)
        edge = self.table.bucket_index(nearest[-1]) if len(nearest) == KSIZE else -1
        expected = [i for i in range(edge + 1) if self.table.room_in(i) > 0]
        assert buckets_with_room(self.table) == expected

    @invariant()
    def only_who_answered_is_in(self) -> None:
        assert {p.id for p in self.table} <= self.answered

    @invariant()
    def buckets_keep_their_bounds_and_prefix(self) -> None:
        for index, bucket in enumerate(self.table.buckets):
            if bucket is None:
                continue
            assert len(bucket) <= KSIZE
            assert len(bucket.replacements) <= BUCKET_REPLACEMENTS_MAX
            assert all(160 - p.long_id.bit_length() == index for p in bucket.peers)
            assert list(bucket.heard_s) == sorted(bucket.heard_s)

    @invariant()
    def newcomers_are_of_the_table(self) -> None:
        met = [p.id for p in self.table if p in self.table.newcomers]
        assert len(met) == len(self.table.newcomers)

    @invariant()
    def nobody_is_in_twice(self) -> None:
        ids = [p.id for p in self.table]
        assert len(ids) == len(set(ids))

    @invariant()
    def a_full_bucket_has_room_for_a_newcomer_just_where_it_holds_a_crowd(self) -> None:
        sites = Counter(p.site for p in self.table if p.site)
        for bucket in self.table.buckets:
            if bucket is None or len(bucket) < KSIZE:
                continue
            crowded = any(sites[p.site] > NODES_PER_SITE_MAX for p in bucket.peers)
            at = self.table.bucket_index(bucket.peers[0])
            newcomer = next(p for p in NEWCOMERS if self.table.bucket_index(p) == at)
            assert self.table.has_room_for(newcomer, self.now) == crowded


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)


@given(own=targets, index=st.integers(0, 159), bits=st.integers(0, 2**160 - 1))
def test_a_random_id_shares_exactly_that_many_bits(own: bytes, index: int, bits: int) -> None:
    number = int.from_bytes(own, "big")
    other = random_id_in_bucket(number, index, bits)
    assert 160 - (number ^ other).bit_length() == index
