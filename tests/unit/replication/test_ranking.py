"""Which candidates are best: spread over failure domains, then by distance, always alike."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.model.contact import Address, Contact, subnet
from dhtstore.model.identity import DhtKey, PublicKey, distance
from dhtstore.replication.ranking import Candidate, rank

KEY = DhtKey(bytes(20))


def candidate(number: int, host: str = "10.0.0.1", label: str = "") -> Candidate:
    key = PublicKey(number.to_bytes(32, "big"))
    return Candidate(Contact.of(key, Address(host, 7400), storage=True), label)


def nearest(candidates: list[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda c: distance(c.node, KEY))


hosts = st.sampled_from(["10.0.0.1", "10.0.0.9", "10.0.1.1", "2001:db8::1", "2001:db8:1::1"])
labels = st.sampled_from(["", "", "rack-a", "rack-b"])
some = st.lists(
    st.builds(candidate, st.integers(0, 2**64), hosts, labels),
    max_size=24,
    unique_by=lambda c: c.node,
)
domains = st.lists(st.sampled_from(["rack-a", "rack-b", "10.0.0.0/24"]), max_size=6)


def test_one_domain_is_ranked_by_distance() -> None:
    candidates = [candidate(number) for number in range(20)]
    assert rank(candidates, KEY) == nearest(candidates)


def test_each_domain_gives_one_before_any_gives_two() -> None:
    near = nearest([candidate(number) for number in range(10)])
    far = candidate(99, host="192.168.0.1")
    assert rank([*near, far], KEY).index(far) <= 1


def test_a_domain_that_holds_a_copy_comes_last() -> None:
    here, there = candidate(1, "10.0.0.1"), candidate(2, "10.0.1.1")
    assert rank([here, there], KEY, ["10.0.0.0/24"])[0] is there
    assert rank([here, there], KEY, ["10.0.1.0/24"])[0] is here
    assert rank([here, there], KEY, ["10.0.0.0/24", "10.0.1.0/24"]) == rank([here, there], KEY)


def test_a_label_stands_for_the_subnet() -> None:
    assert candidate(1, label="rack-a").domain == "rack-a"
    assert candidate(1, "10.0.0.1").domain == candidate(2, "10.0.0.200").domain
    assert candidate(1, "10.0.0.1").domain != candidate(2, "10.0.1.1").domain


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("127.0.0.1", "127.0.0.0/24"),
    ],
)
def test_subnets(host: str, expected: str) -> None:
    assert subnet(Address(host, 1)) == expected


@given(some, domains)
def test_every_candidate_is_ranked_once(candidates: list[Candidate], taken: list[str]) -> None:
    assert Counter(rank(candidates, KEY, taken)) == Counter(candidates)


@given(some, domains, st.randoms(use_true_random=False))
def test_the_order_given_does_not_matter(
    candidates: list[Candidate], taken: list[str], rng: object
) -> None:
    shuffled = candidates[:]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert rank(shuffled, KEY, taken) == rank(candidates, KEY, taken)


@given(some, domains)
def test_each_next_one_is_of_a_least_used_domain_and_the_nearest_of_those(
    candidates: list[Candidate], taken: list[str]
) -> None:
    used, left = Counter(taken), nearest(candidates)
    for chosen in rank(candidates, KEY, taken):
        least = min(used[c.domain] for c in left)
        assert chosen is next(c for c in left if used[c.domain] == least)
        left.remove(chosen)
        used[chosen.domain] += 1


@given(some, domains, st.integers(0, 5))
def test_a_prefix_fits_what_is_chosen_in_rounds(
    candidates: list[Candidate], taken: list[str], count: int
) -> None:
    whole = rank(candidates, KEY, taken)
    first, rest = whole[:count], whole[count:]
    assert rank(rest, KEY, taken + [c.domain for c in first]) == rest
