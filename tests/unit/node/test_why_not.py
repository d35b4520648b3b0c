"""Why a repair or a leave found nobody for a copy, in words."""

from __future__ import annotations

from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import DhtKey, NodeId, PublicKey, format_node
from dhtstore.node.duties.repairing.acting import NOBODY, why_not
from dhtstore.replication.placement import Placement
from dhtstore.replication.ranking import Candidate, Stage


def plan(whys: list[str]) -> Placement:
    candidates = dict[NodeId, Candidate]()
    for number, why in enumerate(whys):
        key = PublicKey(bytes((number,)) * 32)
        contact = Contact.of(key, Address("127.0.0.1", 7401), storage=True)
        candidates[contact.node] = Candidate(contact, stage=Stage.REFUSED, why=why)
    return Placement(DhtKey(bytes(20)), 3, NodeId(bytes(20)), None, candidates=candidates)


def test_each_that_was_asked_is_named_with_its_reason() -> None:
    """It was the last one alone, which says little of why all others took none."""
    asked = plan(["its disk is full", "it is leaving"])
    first, second = map(format_node, asked.candidates)
    assert why_not(asked) == f"{first}: its disk is full; {second}: it is leaving"


def test_of_many_some_are_named_and_the_others_counted() -> None:
    told = why_not(plan(["its disk is full"] * 20))
    assert told.count("its disk is full") == 4
    assert told.endswith("; 16 more took none either")


def test_who_was_asked_by_nobody_said_nothing() -> None:
    assert why_not(plan([])) == NOBODY
    assert why_not(plan([""])) == NOBODY
