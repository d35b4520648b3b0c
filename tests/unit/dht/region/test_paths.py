"""Lookups on several paths: no node in common, and colluders mislead those paths that meet them."""

from __future__ import annotations

import random

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.region.paths import DisjointLookup
from dhtstore.params import NODE_ID_BYTES, K
from simulations.validation import disjoint_paths
from tests.unit.dht.region.peers import BITS, ids, peer_with

KEY = 5 << (BITS - 8)
TARGET = KEY.to_bytes(NODE_ID_BYTES, "big")


def search(seeds: list[Peer], paths: int) -> DisjointLookup:
    return DisjointLookup(TARGET, seeds, own_id=b"", soft_timeout_s=1.0, paths=paths)


def test_each_node_is_asked_once_and_all_paths_come_to_their_end() -> None:
    peers = [peer_with(each) for each in ids(random.Random(1), 60)]
    lookup, asked, now = search(peers[:8], 4), list[Peer](), 0.0
    while chosen := lookup.next(now):
        asked += chosen
        for peer in chosen:
            lookup.on_response(peer, peers)
        now += 0.1
    assert lookup.finished
    assert len({peer.id for peer in asked}) == len(asked) == lookup.asked == lookup.answered
    nearest = sorted(peers, key=lambda peer: peer.long_id ^ KEY)[:K]
    assert lookup.result() == nearest


def test_who_is_asked_first_is_one_of_each_path() -> None:
    seeds = [peer_with(each) for each in ids(random.Random(2), 8)]
    assert {peer.id for peer in search(seeds, 4).next(0.0)} >= {peer.id for peer in seeds[:4]}


def test_colluders_beside_the_target_end_the_path_that_met_them_and_no_other() -> None:
    hostile, honest, right = (
        peer_with(KEY ^ 1 << 150),
        peer_with(KEY ^ 1 << 151),
        peer_with(KEY ^ 9),
    )
    beside = [peer_with(KEY ^ number) for number in range(10, 10 + K)]
    found = dict[int, bool]()
    for paths in (1, 2):
        lookup = search([hostile, honest], paths) if paths > 1 else _single([hostile, honest])
        asked = list[Peer]()
        while chosen := lookup.next(0.0):
            asked += chosen
            for peer in chosen:
                lookup.on_response(peer, [right] if peer is honest else beside)
        found[paths] = right in asked
    assert found == {1: False, 2: True}


def _single(seeds: list[Peer]) -> Lookup:
    return Lookup(TARGET, seeds[:1], own_id=b"", soft_timeout_s=1.0, alpha=1)


def test_who_is_asked_about_and_refused_is_counted_once() -> None:
    told = list[bytes]()

    def admits(peer: Peer) -> bool:
        told.append(peer.id)
        return False

    seeds = [peer_with(each) for each in ids(random.Random(3), 4)]
    stranger = peer_with(KEY ^ 77)
    lookup = DisjointLookup(TARGET, seeds, own_id=b"", soft_timeout_s=1.0, paths=4, admits=admits)
    for peer in lookup.next(0.0):
        lookup.on_response(peer, [stranger])
    assert told == [stranger.id]


def test_a_dead_node_fails_its_path_and_is_no_result() -> None:
    seeds = [peer_with(each) for each in ids(random.Random(4), 2)]
    lookup = search(seeds, 2)
    asked = lookup.next(0.0)
    lookup.on_failure(asked[0])
    lookup.on_response(asked[1], [asked[0]])
    while chosen := lookup.next(0.1):
        assert asked[0] not in chosen
    assert lookup.finished
    assert lookup.result() == [asked[1]]


def test_success_among_colluders_is_that_of_the_closed_form() -> None:
    findings = disjoint_paths.validate(nodes=300, lookups=100, seed=1)
    judged = [each for each in findings if "production" in each.name]
    assert len(judged) == 4
    assert all(each.holds for each in judged)
    assert judged[-1].measured >= 0.97
