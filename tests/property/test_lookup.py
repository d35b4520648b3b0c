"""A lookup over any network, with dead and slow peers in any order of events."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey

KSIZE, ALPHA, SOFT_S = 4, 3, 1.0
_rng = random.Random(2)
PEERS: list[Peer] = [
    peer_of(Contact.of(PublicKey(_rng.randbytes(32)), Address("10.0.0.1", 1000 + i)))
    for i in range(40)
]


class Net:
    """Peers that each know some others; some never answer, some answer late."""

    def __init__(self, rng: random.Random, dead_share: float, slow_share: float) -> None:
        self.rng = rng
        self.dead = {p.id for p in PEERS if rng.random() < dead_share}
        self.slow = {p.id for p in PEERS if rng.random() < slow_share}
        self.target = rng.randbytes(20)
        self.number = int.from_bytes(self.target, "big")
        self.asked: list[bytes] = []

    def closest_known(self, count: int) -> list[Peer]:
        return sorted(PEERS, key=lambda p: p.long_id ^ self.number)[:count]

    def run(self, lookup: Lookup) -> float:
        """Play events in order of time until the lookup is finished; how long it took."""
        now, waiting = 0.0, []
        for _ in range(1000):
            asked = lookup.next(now)
            for peer in asked:
                self.asked.append(peer.id)
                delay_s = 5.0 if peer.id in self.dead else self.rng.uniform(0.1, 0.9)
                delay_s += 2.0 if peer.id in self.slow else 0.0
                waiting.append((now + delay_s, peer.long_id, peer))
            if lookup.finished:
                return now
            waiting.sort(key=lambda event: event[:2])
            wake_at = lookup.wake_at()
            if wake_at is not None and (not waiting or wake_at < waiting[0][0]):
                now = wake_at
                continue
            now, _id, peer = waiting.pop(0)
            if peer.id in self.dead:
                lookup.on_failure(peer)
            else:
                lookup.on_response(peer, self.closest_known(KSIZE * 2))
        raise AssertionError("the lookup never finished")


def _lookup(net: Net, own: bytes = b"\xff" * 20) -> Lookup:
    seeds = net.rng.sample(PEERS, 5)
    return Lookup(net.target, seeds, own_id=own, soft_timeout_s=SOFT_S, k=KSIZE, alpha=ALPHA)


nets = st.builds(
    Net,
    st.integers(0, 2**32).map(random.Random),
    st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    st.sampled_from([0.0, 0.3, 1.0]),
)


@settings(max_examples=150, deadline=None)
@given(net=nets)
def test_it_ends_with_live_peers_only_in_order_and_asks_nobody_twice(net: Net) -> None:
    lookup = _lookup(net)
    net.run(lookup)
    result = lookup.result()
    distances = [p.long_id ^ net.number for p in result]
    assert distances == sorted(distances)
    assert len(result) <= KSIZE
    assert not {p.id for p in result} & net.dead
    assert len(net.asked) == len(set(net.asked))
    assert set(net.asked) >= {p.id for p in result}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_with_everybody_in_time_the_result_is_exact(seed: int) -> None:
    net = Net(random.Random(seed), 0.0, 0.0)
    lookup = _lookup(net)
    net.run(lookup)
    assert lookup.result() == net.closest_known(KSIZE)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_node_itself_is_never_asked(seed: int) -> None:
    net = Net(random.Random(seed), 0.0, 0.0)
    own = net.closest_known(1)[0].id
    net.run(_lookup(net, own))
    assert own not in net.asked


def test_a_slow_peer_gives_up_its_slot_at_wake_at_and_still_counts_when_it_answers() -> None:
    lookup = Lookup(bytes(20), PEERS[:12], own_id=b"", soft_timeout_s=0.1, k=KSIZE, alpha=ALPHA)
    first = lookup.next(0.7)  # 0.7 + 0.1 - 0.7 < 0.1 in floating point
    assert len(first) == ALPHA
    assert lookup.next(0.75) == []
    wake_at = lookup.wake_at()
    assert wake_at is not None
    assert len(lookup.next(wake_at)) == KSIZE, "nobody brings it closer: it asks more at once"
    lookup.on_response(first[0], [])
    assert lookup.result() == [first[0]]


def answering(*peers: Peer, k: int, alpha: int) -> Lookup:
    """A lookup of the id 0 by which ``peers`` were asked, all at 0."""
    lookup = Lookup(bytes(20), peers, own_id=b"", soft_timeout_s=1.0, k=k, alpha=alpha)
    assert len(lookup.next(0.0)) == len(peers)
    return lookup


def by_distance() -> list[Peer]:
    return sorted(PEERS, key=lambda peer: peer.long_id)


def test_of_those_that_are_close_the_quickest_are_asked_first() -> None:
    slow = set(by_distance()[:ALPHA])
    lookup = Lookup(
        bytes(20), PEERS, own_id=b"", soft_timeout_s=1.0, k=KSIZE * 2, alpha=ALPHA,
        timeout_of=lambda peer: 0.9 if peer in slow else 0.1,
    )  # fmt: skip
    assert lookup.next(0.0) == by_distance()[ALPHA : 2 * ALPHA]


def test_each_peer_is_late_in_its_own_time() -> None:
    quick, slow = PEERS[:2]
    lookup = Lookup(
        bytes(20), PEERS[:3], own_id=b"", soft_timeout_s=1.0, k=3, alpha=2,
        timeout_of=lambda peer: 0.2 if peer is quick else 0.9 if peer is slow else 5.0,
    )  # fmt: skip
    assert set(lookup.next(0.0)) == {quick, slow}
    assert lookup.wake_at() == 0.2
    assert lookup.next(0.2) == [PEERS[2]]
    assert lookup.wake_at() == 0.9


def test_all_are_asked_at_once_when_one_of_the_closest_has_told_who_they_are() -> None:
    near = by_distance()
    lookup = answering(near[1], near[30], k=KSIZE, alpha=2)
    lookup.on_response(near[30], near[20:28])
    assert len(lookup.next(0.1)) == 3, "who answered is far: some more, and not all"
    lookup.on_response(near[1], near[:KSIZE])
    assert set(lookup.next(0.1)) == {near[0], near[2], near[3]}


def test_where_some_failed_as_many_more_are_asked_as_will_fail_in_turn() -> None:
    near = by_distance()
    lookup = answering(near[0], near[1], k=8, alpha=2)
    lookup.on_response(near[0], near[:20])
    asked = lookup.next(0.1)
    assert len(asked) == 6, "none failed yet"
    for peer in asked[:2]:
        lookup.on_response(peer, [])
    for peer in asked[2:4]:
        lookup.on_failure(peer)
    assert set(lookup.next(0.2)) == set(near[8:14]), "2 of 5 failed: 2 for these, 4 for 5 missing"


def test_who_is_late_is_waited_for_only_where_datagrams_get_lost() -> None:
    for patience_s, waits in ((0.0, False), (1.0, True)):
        lookup = Lookup(
            bytes(20), PEERS[:3], own_id=b"", soft_timeout_s=1.0, k=2, alpha=3,
            patience_s=patience_s,
        )  # fmt: skip
        late = min(lookup.next(0.0), key=lambda peer: peer.long_id)
        for peer in set(PEERS[:3]) - {late}:
            lookup.on_response(peer, [])
        assert lookup.next(1.0) == []
        assert lookup.finished is not waits
        lookup.next(2.0)
        assert lookup.finished


def test_once_the_closest_are_known_each_is_asked_about_its_own_part_of_the_tree() -> None:
    near = by_distance()
    lookup = answering(near[0], k=KSIZE, alpha=1)
    assert lookup.question(near[3]) == lookup.target
    lookup.on_response(near[0], near[:KSIZE])
    for peer in lookup.next(0.1):
        asked = int.from_bytes(lookup.question(peer), "big")
        part = 1 << peer.long_id.bit_length() - 1  # the target is 0
        assert asked == part <= peer.long_id < 2 * part
    own = peer_of(Contact.of(PublicKey(bytes(32)), Address("10.0.0.1", 1)))
    same = Lookup(own.id, [own], own_id=b"", soft_timeout_s=1.0)
    assert same.question(own) == own.id


def test_a_part_of_the_tree_that_nobody_named_is_asked_about() -> None:
    """All who are closest name each other, dead ones among them, and fill their answers: of those
    who come next nobody heard, or of a few that are dead, and those after them were found."""
    rng, missed = random.Random(2), 0
    for number in range(15):
        peers = [
            peer_of(Contact.of(PublicKey(rng.randbytes(32)), Address("10.0.0.3", 1000 + port)))
            for port in range(200)
        ]
        target = rng.choice(peers).long_id ^ 1
        dead = {peer.id for peer in peers if rng.random() < 0.4}
        parts = [peer for peer in peers if (peer.long_id ^ target) >> 157 != 1]
        seeds = [peer for peer in rng.sample(parts, 60) if peer.id not in dead]
        seeds += [peer for peer in peers if peer.id in dead and peer not in parts][: number % 4]
        lookup = Lookup(target.to_bytes(20, "big"), seeds, own_id=b"", soft_timeout_s=1.0)
        while asked := lookup.next(0.0):
            for peer, about in [(one, lookup.question(one)) for one in asked]:
                if peer.id in dead:
                    lookup.on_failure(peer)
                    continue
                point = int.from_bytes(about, "big")
                named = sorted(peers, key=lambda one: one.long_id ^ point)[:26]
                lookup.on_response(peer, named)
        alive = [peer for peer in peers if peer.id not in dead]
        closest = sorted(alive, key=lambda one: one.long_id ^ target)[:20]
        missed += len({one.id for one in closest} - {one.id for one in lookup.result()})
    assert missed <= 6, "of 300; 50 before"


def test_candidates_are_bounded_though_the_farthest_answered() -> None:
    rng = random.Random(3)
    crowd = [
        peer_of(Contact.of(PublicKey(rng.randbytes(32)), Address("10.0.0.2", 1000 + number)))
        for number in range(2000)
    ]
    crowd.sort(key=lambda peer: peer.long_id, reverse=True)
    lookup = Lookup(bytes(20), crowd[:1], own_id=b"", soft_timeout_s=1)
    for begin in range(0, 2000, 20):
        for peer in lookup.next(0.0):
            lookup.on_response(peer, crowd[begin : begin + 20])
    assert len(lookup._ranked) <= 300


def test_a_failed_peer_stays_dead_whoever_names_it() -> None:
    lookup = Lookup(bytes(20), PEERS[:2], own_id=b"", soft_timeout_s=1, k=KSIZE, alpha=ALPHA)
    one, two = lookup.next(0.0)
    lookup.on_failure(one)
    lookup.on_failure(one)  # said twice is said once
    lookup.on_response(two, [one])
    assert lookup.next(0.0) == []
    assert lookup.finished
    assert lookup.result() == [two]
