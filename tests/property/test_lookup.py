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
