"""The plan of one unit's copies: what is done next, whatever became of what was done before."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.errors import LocalProtocolError
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import DhtKey, NodeId, PublicKey, distance, node_id
from dhtstore.params import DAY_S, PLACEMENT_KEYS_MAX
from dhtstore.replication.placement import (
    Action,
    CopyTo,
    Done,
    Look,
    Meet,
    OfferTo,
    Placement,
    nth_key,
)
from dhtstore.replication.presence import Presence
from dhtstore.replication.ranking import Candidate, Domain, Merit, Stage, rank

KEY = DhtKey(bytes(20))
OWN = Domain("10.0.0.0/24")
CELLAR = OWN._replace(label="cellar")
HERE = node_id(PublicKey(b"h" * 32))


def contact(number: int, host: str = "10.0.0.1", *, storage: bool = True) -> Contact:
    key = PublicKey(number.to_bytes(32, "big"))
    return Contact.of(key, Address(host, 7400), storage=storage)


def plan(wanted: int = 3, own_domain: Domain | None = None) -> Placement:
    return Placement(KEY, wanted, HERE, own_domain)


def met(placement: Placement, labels: Sequence[str] = ()) -> Placement:
    """All that are to be met can be connected to."""
    action = placement.next()
    assert isinstance(action, Meet)
    for number, each in enumerate(action.contacts):
        placement = placement.met(each.node, labels[number] if labels else "")
    return placement


def nodes_of(action: Action) -> list[NodeId]:
    assert isinstance(action, OfferTo | CopyTo)
    return [candidate.node for candidate in action.candidates]


# --- one step after the other ---------------------------------------------------------------


def test_it_begins_with_a_lookup_of_the_units_key() -> None:
    assert plan().next() == Look(KEY)


def test_a_copy_here_may_be_all_that_is_wanted() -> None:
    assert plan(1, OWN).next() == Done()
    assert plan(1).next() == Look(KEY)


def test_twice_as_many_as_are_wanted_are_met_and_others_are_asked_when_those_are_used_up() -> None:
    contacts = nearest([contact(number) for number in range(5)], KEY)
    placement = plan(2).found(contacts)
    assert placement.next() == Meet(tuple(contacts[:4]))
    for each in contacts[:4]:
        placement = placement.unreached(each.node, "no answer")
    assert nodes_of(placement.next()) == [contacts[4].node]


def test_clients_this_node_and_nodes_known_already_are_no_candidates() -> None:
    known, client = contact(1), contact(2, storage=False)
    here = Contact(PublicKey(b"h" * 32), Address("10.0.0.1", 1), HERE, storage=True)
    placement = plan().found([known, client, here])
    assert placement.unmet == (known,)
    again = placement.found([known])
    assert again.unmet == (known,)
    assert met(placement).found([known]).unmet == ()


def test_offers_go_to_other_failure_domains_than_those_that_have_a_copy() -> None:
    contacts = [contact(number) for number in range(4)]
    placement = met(plan(3, CELLAR).found(contacts), ["cellar", "attic", "attic", "garden"])
    domains = [candidate.label for candidate in offered(placement)]
    assert sorted(domains) == ["attic", "garden"]
    again = met(plan(3, CELLAR).found(contacts), ["cellar", "attic", "cellar", "attic"])
    assert sorted(candidate.label for candidate in offered(again)) == ["attic", "cellar"]


def offered(placement: Placement) -> tuple[Candidate, ...]:
    action = placement.next()
    assert isinstance(action, OfferTo)
    return action.candidates


def test_the_domain_that_a_holder_shows_when_it_reserves_counts() -> None:
    contacts = nearest([contact(number) for number in range(5)], KEY)
    placement = plan(2).found(contacts)
    for each in contacts[:3]:
        placement = placement.unreached(each.node, "no answer")
    placement = placement.met(contacts[3].node, "attic")
    first = rank(placement.at(Stage.FOUND), KEY)[0]
    assert contacts[4] in [candidate.contact for candidate in offered(placement)]
    placement = placement.reserved(first.node, "cellar")
    assert placement.candidates[first.node].domain == CELLAR


def test_no_byte_moves_before_enough_have_reserved_and_one_that_refuses_is_replaced() -> None:
    placement = met(plan(2).found([contact(number) for number in range(4)]))
    first, second = nodes_of(placement.next())
    placement = placement.reserved(first, "").refused(second, "no room")
    [third] = nodes_of(placement.next())
    assert third not in (first, second)
    placement = placement.reserved(third, "")
    action = placement.next()
    assert isinstance(action, CopyTo)
    assert nodes_of(action) == [first, third]


def test_a_holder_that_fails_after_it_reserved_is_replaced() -> None:
    placement = met(plan(2).found([contact(number) for number in range(4)]))
    first, second = nodes_of(placement.next())
    placement = placement.reserved(first, "").reserved(second, "")
    placement = placement.copied(first, 10).failed(first, "the connection was lost")
    placement = placement.copied(second, 20).held(second)
    action = placement.next()
    assert isinstance(action, OfferTo)
    assert len(action.candidates) == 1
    assert placement.candidates[first].copied_bytes == 10
    assert placement.missing == 1


def test_a_full_neighbourhood_is_followed_by_others_and_who_reserved_there_copies_first() -> None:
    placement = met(plan(2).found([contact(1)]))
    placement = placement.reserved(contact(1).node, "")
    assert isinstance(placement.next(), CopyTo)
    placement = placement.held(contact(1).node)
    assert placement.next() == Look(nth_key(KEY, 1))


def test_it_settles_for_less_when_every_neighbourhood_is_used_up() -> None:
    placement, keys = plan(), []
    while isinstance(action := placement.next(), Look):
        keys.append(action.key)
        placement = placement.found([])
    assert keys == [nth_key(KEY, number) for number in range(PLACEMENT_KEYS_MAX)]
    assert len(set(keys)) == PLACEMENT_KEYS_MAX
    assert placement.next() == Done()


def test_a_plan_is_a_value() -> None:
    before = met(plan().found([contact(1)]))
    before.refused(contact(1).node, "no room")
    assert nodes_of(before.next()) == [contact(1).node]


Step = Callable[[Placement], Placement]
NODE = contact(1).node


@pytest.mark.parametrize(
    "step",
    [
        lambda p: p.met(NODE, ""),
        lambda p: p.refused(NODE, ""),
        lambda p: p.reserved(NODE, ""),
        lambda p: p.held(NODE),
        lambda p: p.failed(NODE, ""),
        lambda p: p.copied(NODE, 1),
        lambda p: p.unreached(NODE, ""),
    ],
)
def test_what_cannot_have_happened_is_a_bug_that_shows(step: Step) -> None:
    held = met(plan().found([contact(1)])).reserved(NODE, "").held(NODE)
    for placement in (plan(), held):
        with pytest.raises(LocalProtocolError):
            step(placement)


# --- whatever happens -----------------------------------------------------------------------


@dataclass(slots=True)
class Story:
    """Carries a plan out in a made-up network and writes down what it was told to do."""

    plan: Placement
    rng: random.Random
    near: dict[DhtKey, list[Contact]]
    actions: list[Action] = field(default_factory=list)
    asked: Counter[NodeId] = field(default_factory=Counter)
    reserved: set[NodeId] = field(default_factory=set)

    def tell(self) -> None:
        while not isinstance(action := self.plan.next(), Done):
            self.step(action)

    def step(self, action: Action) -> None:
        self.actions.append(action)
        if isinstance(action, Look):
            self.plan = self.plan.found(self.near[action.key])
        elif isinstance(action, Meet):
            for each in self.rng.sample(action.contacts, len(action.contacts)):
                self.meet(each)
        elif isinstance(action, OfferTo):
            for candidate in self.rng.sample(action.candidates, len(action.candidates)):
                self.offer(candidate)
        elif isinstance(action, CopyTo):
            for candidate in self.rng.sample(action.candidates, len(action.candidates)):
                self.copy(candidate)

    def label(self) -> str:
        return self.rng.choice(["", "rack-a", "rack-b"])

    def meet(self, each: Contact) -> None:
        if self.rng.random() < 0.2:
            self.plan = self.plan.unreached(each.node, "no answer")
        else:
            self.plan = self.plan.met(each.node, self.label())

    def offer(self, candidate: Candidate) -> None:
        self.asked[candidate.node] += 1
        outcome = self.rng.choice(["reserved", "refused", "unreached"])
        if outcome == "reserved":
            self.reserved.add(candidate.node)
            self.plan = self.plan.reserved(candidate.node, candidate.label or self.label())
        elif outcome == "refused":
            self.plan = self.plan.refused(candidate.node, "no room")
        else:
            self.plan = self.plan.unreached(candidate.node, "the connection was lost")

    def copy(self, candidate: Candidate) -> None:
        self.reserved.remove(candidate.node)
        self.plan = self.plan.copied(candidate.node, 7)
        if self.rng.random() < 0.3:
            self.plan = self.plan.failed(candidate.node, "a wrong receipt")
        else:
            self.plan = self.plan.held(candidate.node)


def nearest(people: Sequence[Contact], key: DhtKey) -> list[Contact]:
    return sorted(people, key=lambda each: distance(each.node, key))


def somebody(number: int, rng: random.Random) -> Contact:
    host = rng.choice(["10.0.0.1", "10.0.1.1", "10.0.2.1"])
    return contact(number, host, storage=rng.random() < 0.9)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    rng = random.Random(draw(st.integers(0, 2**32)))
    people = [
        contact(
            number, rng.choice(["10.0.0.1", "10.0.1.1", "10.0.2.1"]), storage=rng.random() < 0.9
        )
        for number in range(draw(st.integers(0, 40)))
    ]
    keys = [nth_key(KEY, number) for number in range(PLACEMENT_KEYS_MAX)]
    near = {key: nearest(people, key)[:20] for key in keys}
    wanted = draw(st.integers(1, 8))
    return Story(plan(wanted, draw(st.sampled_from([None, OWN]))), rng, near)


@given(stories())
def test_nobody_is_asked_twice_and_it_ends(story: Story) -> None:
    story.tell()
    assert all(count == 1 for count in story.asked.values())
    looked = [action.key for action in story.actions if isinstance(action, Look)]
    assert looked == [nth_key(KEY, number) for number in range(len(looked))]
    assert story.plan.at(Stage.RESERVED) == ()


@given(stories())
def test_it_ends_with_enough_copies_or_with_nobody_left(story: Story) -> None:
    story.tell()
    assert story.plan.missing >= 0
    if story.plan.missing:
        found = {c.node for near in story.near.values() for c in near if c.storage}
        assert found == set(story.plan.candidates)
        assert story.plan.at(Stage.FOUND) == ()


@given(stories())
def test_never_are_more_offers_and_reservations_open_than_copies_are_missing(story: Story) -> None:
    while not isinstance(action := story.plan.next(), Done):
        if isinstance(action, OfferTo):
            open_ = len(action.candidates) + len(story.reserved)
            assert 0 < open_ <= story.plan.missing
        story.step(action)


@given(stories())
def test_bytes_move_only_when_all_chosen_have_reserved_or_nobody_else_is_here(
    story: Story,
) -> None:
    while not isinstance(action := story.plan.next(), Done):
        if isinstance(action, CopyTo):
            assert {candidate.node for candidate in action.candidates} == story.reserved
            enough = len(story.reserved) == story.plan.missing
            assert enough or not story.plan.at(Stage.FOUND)
        story.step(action)


@given(stories())
def test_offers_go_to_the_best_that_are_not_asked_yet(story: Story) -> None:
    while not isinstance(action := story.plan.next(), Done):
        if isinstance(action, OfferTo):
            own = story.plan.own_domain
            taken = [] if own is None else [own]
            for stage in (Stage.HELD, Stage.RESERVED):
                taken += [candidate.domain for candidate in story.plan.at(stage)]
            best = rank(story.plan.at(Stage.FOUND), KEY, taken)
            assert all(candidate.reason for candidate in action.candidates)
            unexplained = [replace(candidate, reason="") for candidate in action.candidates]
            assert unexplained == best[: len(action.candidates)]
        story.step(action)


# --- donors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("repairing", [True, False])
def test_what_is_short_of_copies_goes_farther_to_one_that_is_there(repairing: bool) -> None:
    """Who comes and goes would have to be replaced, or not be there when it is needed."""
    near, *_, far = nearest([contact(number) for number in range(30)], KEY)
    often, steady = (
        Merit(Presence(DAY_S * 9, DAY_S * there, DAY_S * (9 - there))) for there in (6, 9)
    )
    assert 6 < distance(far.node, KEY) / distance(near.node, KEY) < 100
    merits = {near.node: often, far.node: steady}
    placement = replace(plan(1), repairing=repairing).found([near, far], merits)
    placement = placement.met(near.node, "").met(far.node, "")
    assert nodes_of(placement.next()) == [far.node if repairing else near.node]


@pytest.mark.parametrize("repairing", [True, False])
def test_what_is_short_of_copies_goes_to_donors_first_and_what_is_put_does_not(
    repairing: bool,
) -> None:
    near, far = nearest([contact(1), contact(2)], KEY)
    placement = replace(plan(1), repairing=repairing).found([near, far])
    placement = placement.met(near.node, "").met(far.node, "", donor=True)
    assert nodes_of(placement.next()) == [far.node if repairing else near.node]
