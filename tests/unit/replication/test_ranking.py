"""Which candidates are best: spread over failure domains, then by distance, always alike."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.model.contact import Address, Contact, subnet
from dhtstore.model.identity import DhtKey, PublicKey, distance
from dhtstore.params import DAY_S, GIB, ROOM_RATIO_MAX
from dhtstore.replication.presence import Presence
from dhtstore.replication.ranking import Candidate, Domain, Merit, explained, passed_over, rank

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
HERE, THERE = Domain("10.0.0.0/24"), Domain("10.0.1.0/24")
domains = st.lists(
    st.builds(Domain, st.sampled_from(["10.0.0.0/24", "10.9.0.0/24", "rack-a"]), labels), max_size=6
)


def test_one_domain_is_ranked_by_distance() -> None:
    candidates = [candidate(number) for number in range(20)]
    assert rank(candidates, KEY) == nearest(candidates)


def test_each_domain_gives_one_before_any_gives_two() -> None:
    near = nearest([candidate(number) for number in range(10)])
    far = candidate(99, host="192.168.0.1")
    assert rank([*near, far], KEY).index(far) <= 1


def test_a_domain_that_holds_a_copy_comes_last() -> None:
    here, there = candidate(1, "10.0.0.1"), candidate(2, "10.0.1.1")
    assert rank([here, there], KEY, [HERE])[0] is there
    assert rank([here, there], KEY, [THERE])[0] is here
    assert rank([here, there], KEY, [HERE, THERE]) == rank([here, there], KEY)


def test_a_label_separates_what_a_subnet_does_not() -> None:
    near, far = nearest([candidate(1, label="rack-a"), candidate(2, label="rack-b")])
    assert rank([near, far], KEY, [HERE._replace(label=near.label)]) == [far, near]
    across = candidate(3, "10.0.1.1", label=near.label)
    assert rank([across], KEY, [near.domain]) == [across]
    assert rank([across, candidate(4, "10.0.2.1")], KEY, [near.domain])[1] is across


def test_a_label_never_joins_a_subnet_of_that_name_nor_nodes_without_one() -> None:
    named = candidate(1, "10.0.1.1", label="10.0.0.0/24")
    plain = candidate(2, "10.0.2.1")
    assert rank([named, plain], KEY, [HERE]) == nearest([named, plain])
    assert rank([named, plain], KEY, [Domain("10.9.0.0/24")]) == nearest([named, plain])


def test_many_labels_on_one_address_take_one_place_of_three_while_others_exist() -> None:
    near = nearest([candidate(number, label=f"label {number}") for number in range(40)])[:16]
    others = [candidate(100 + number, f"10.1.{number}.1") for number in range(2)]
    chosen = rank([*near, *others], KEY, count=3)
    assert len({each.domain.subnet for each in chosen}) == 3


def test_the_best_of_hundreds_are_found_at_once() -> None:
    """By work done, not by time: each place looks once at each domain."""
    many = [candidate(n, f"10.{n % 256}.{n // 256}.1", label=f"{n}") for n in range(500)]
    assert rank(many, KEY, count=3) == rank(many, KEY)[:3]
    assert rank(many, KEY, count=0) == []


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
def test_every_candidate_is_ranked_once(candidates: list[Candidate], taken: list[Domain]) -> None:
    assert Counter(rank(candidates, KEY, taken)) == Counter(candidates)


@given(some, domains, st.randoms(use_true_random=False))
def test_the_order_given_does_not_matter(
    candidates: list[Candidate], taken: list[Domain], rng: object
) -> None:
    shuffled = candidates[:]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert rank(shuffled, KEY, taken) == rank(candidates, KEY, taken)


@given(some, domains)
def test_each_next_one_is_of_a_least_used_domain_and_the_nearest_of_those(
    candidates: list[Candidate], taken: list[Domain]
) -> None:
    before, left = [*taken], nearest(candidates)

    def shared(c: Candidate) -> int:
        subnets = sum(c.domain.subnet == each.subnet for each in before)
        return subnets + sum(c.label == each.label != "" for each in before)

    for chosen in rank(candidates, KEY, taken):
        least = min(shared(c) for c in left)
        assert chosen is next(c for c in left if shared(c) == least)
        left.remove(chosen)
        before.append(chosen.domain)


@given(some, domains, st.integers(0, 5))
def test_a_prefix_fits_what_is_chosen_in_rounds(
    candidates: list[Candidate], taken: list[Domain], count: int
) -> None:
    whole = rank(candidates, KEY, taken)
    first, rest = whole[:count], whole[count:]
    assert rank(rest, KEY, taken + [c.domain for c in first]) == rest


# --- those that are there and have room carry more ------------------------------------------------


def seen(there_s: float, away_s: float = 0.0, room_bytes: int | None = None) -> Merit:
    return Merit(Presence(there_s + away_s, there_s, away_s), room_bytes)


def shares(merits: list[Merit], units: int = 3000) -> list[float]:
    """Which part of the units each of these gets, as one of twenty near each key."""
    rng, won = random.Random(7), Counter[int]()
    for _ in range(units):
        near = [
            replace(candidate(rng.getrandbits(64)), merit=merit, why=str(number))
            for number, merit in enumerate(merits)
        ]
        won[int(rank(near, KEY, count=1)[0].why)] += 1
    return [won[number] / units for number in range(len(merits))]


def test_a_steady_machine_carries_many_times_what_one_that_comes_and_goes_does() -> None:
    steady, half = seen(10 * DAY_S), seen(5 * DAY_S, 5 * DAY_S)
    [first, *_, last] = shares([steady, *[half] * 18, half])
    assert 8 < first / last < 32


def test_twice_the_room_carries_twice_as_much_and_a_newcomer_with_a_large_disk_its_share() -> None:
    old, new = seen(10 * DAY_S, room_bytes=GIB), seen(0.0, room_bytes=4 * GIB)
    twice = seen(10 * DAY_S, room_bytes=2 * GIB)
    [first, second, *others] = shares([new, twice, *[old] * 18])
    usual = sum(others) / len(others)
    assert 1.6 < second / usual < 2.4
    assert 1.0 < first / usual < 2.0


def test_who_boasts_of_room_draws_a_bounded_share() -> None:
    boast, usual = seen(DAY_S, room_bytes=2**63 - 1), seen(DAY_S, room_bytes=GIB)
    [first, *others] = shares([boast, *[usual] * 19])
    assert first < ROOM_RATIO_MAX / 19
    assert min(others) > 0


def test_a_full_disk_is_asked_late_and_one_that_says_nothing_as_usual() -> None:
    full, usual = seen(DAY_S, room_bytes=0), seen(DAY_S, room_bytes=GIB)
    [first, *_, silent] = shares([full, *[usual] * 18, seen(DAY_S)])
    assert first < 0.015
    assert 0.04 < silent < 0.06


def test_a_steady_machine_of_a_taken_domain_comes_after_any_other() -> None:
    good = replace(candidate(1, "10.0.0.1"), merit=seen(20 * DAY_S, room_bytes=8 * GIB))
    bad = replace(candidate(2, "10.0.1.1"), merit=seen(DAY_S, 9 * DAY_S, room_bytes=1))
    assert rank([good, bad], KEY, [HERE]) == [bad, good]


def test_a_choice_has_its_reason() -> None:
    first = replace(candidate(1, "10.0.0.1"), merit=seen(3 * DAY_S, DAY_S, 10**9))
    near = candidate(2, "10.0.0.2")
    [one, other] = explained([first, near], [THERE])
    assert one.reason == (
        "apart from 1 other copy; there for 75 % of 4 days, says it has room for 1.0 GB"
    )
    assert other.reason == "its subnet or label has 1 copy; hardly known here"
    [left] = passed_over([near])
    assert left.reason == "not asked: enough others came before it; hardly known here"


@given(some, st.randoms(use_true_random=False))
def test_the_draw_does_not_hang_on_the_order_of_what_was_found(
    candidates: list[Candidate], rng: random.Random
) -> None:
    weighed = [
        replace(each, merit=seen(rng.random() * DAY_S, rng.random() * DAY_S, rng.choice([None, 1])))
        for each in candidates
    ]
    shuffled = rng.sample(weighed, len(weighed))
    assert rank(shuffled, KEY) == rank(weighed, KEY)
